import torch
x = torch.tensor(2.0, requires_grad=True)
y = x ** 2 + 3 * x - 5
y.backward()
epochs = 1000
for epoch in range(epochs):
    y_pred = model(x_tensor)
