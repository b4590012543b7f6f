"""Gradient descent by hand that forgot no_grad() around the update."""

# raises: RuntimeError

import torch

torch.manual_seed(0)
x = torch.linspace(-1, 1, 50)
y = 3 * x + 0.5
w = torch.zeros(1, requires_grad=True)
b = torch.zeros(1, requires_grad=True)
lr = 0.1
for step in range(20):
    error = w * x + b - y
    loss = (error**2).mean()
    loss.backward()
    w -= lr * w.grad  # expect: GS501
    b -= lr * b.grad
    w.grad.zero_()
    b.grad.zero_()
