"""An update that gives the leaf's name to a result, whose gradient is then to be cleared."""

# raises: AttributeError

import torch

torch.manual_seed(0)
data = torch.randn(40) * 2 + 1
mu = torch.zeros((), requires_grad=True)
lr = 0.05
for i in range(10):
    cost = torch.sum((data - mu) ** 2) / 40
    cost.backward()
    mu = mu - lr * mu.grad  # expect: GS306
    mu.grad.zero_()
