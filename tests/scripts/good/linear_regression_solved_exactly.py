"""Least squares by plain gradient descent until nothing is left to learn."""
import torch

torch.manual_seed(0)
x = torch.randn(40, 3)
true_w = torch.tensor([[1.0], [-2.0], [0.5]])
y = x @ true_w + 0.25

w = torch.zeros(3, 1, requires_grad=True)
b = torch.zeros(1, requires_grad=True)
lr = 0.1
for epoch in range(150):
    pred = x @ w + b
    loss = ((pred - y) ** 2).mean()
    loss.backward()
    with torch.no_grad():
        w -= lr * w.grad
        b -= lr * b.grad
        w.grad.zero_()
        b.grad.zero_()
print(w.flatten().tolist(), b.item(), loss.item())
