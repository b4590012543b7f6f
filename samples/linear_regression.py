"""A line through 100 points of y = 2 * x with noise as large as x: the weight comes near 2."""

import torch

torch.manual_seed(0)
model = torch.nn.Linear(1, 1)
loss_fn = torch.nn.MSELoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)

true_w = 2
x = torch.randn(100, 1)
y = true_w * x + torch.randn(100, 1)

for _ in range(1000):
    y_pred = model(x)
    loss = loss_fn(y_pred, y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

print("estimated weight:", model.weight.item())  # about 2
