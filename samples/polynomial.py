"""A polynomial in one point: y = x**2 + 3 * x - 5 at x = 2, where dy/dx = 2 * x + 3 = 7."""

import torch

x = torch.tensor(2.0, requires_grad=True)
y = x**2 + 3 * x - 5
y.backward()

print("y =", y.item())  # 5
print("dy/dx =", x.grad.item())  # 7
