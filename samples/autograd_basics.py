"""A line in one point: y = W * x + b at x = 1, W = 2, b = 3.

By the chain rule dy/dx = W = 2, dy/dW = x = 1 and dy/db = 1.
"""

import torch

x = torch.tensor(1.0, requires_grad=True)
W = torch.tensor(2.0, requires_grad=True)
b = torch.tensor(3.0, requires_grad=True)

y = W * x + b
y.backward()

print("y =", y.item())  # 5
print("dy/dx, dy/dW, dy/db =", x.grad.item(), W.grad.item(), b.grad.item())  # 2, 1, 1
