"""Small initial weights by multiplication: the name is that of the product, not of the leaf."""

# raises: TypeError

import torch

torch.manual_seed(0)
x, y = torch.randn(30, 4), torch.randn(30, 1)
weight = torch.randn(4, 1, requires_grad=True) * 0.01  # expect: GS306
lr = 0.1
for epoch in range(5):
    loss = ((x @ weight - y) ** 2).mean()
    loss.backward()
    weight.data -= lr * weight.grad
