import torch

torch.manual_seed(0)
xs = torch.linspace(-1, 1, 50)
ys = 3 * xs + 1
w = torch.tensor(0.0, requires_grad=True)
b = torch.tensor(0.0, requires_grad=True)
lr = 0.01
for i in range(25):
    mse = ((w * xs + b - ys) ** 2).mean()
    mse.backward()  # expect: GS401
    with torch.no_grad():
        w -= lr * w.grad
        b -= lr * b.grad
