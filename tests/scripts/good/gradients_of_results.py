"""Gradients of results, asked for in time; and a leaf that was made small before it became one."""

import torch

torch.manual_seed(0)
w = (torch.randn(4, 8) * 0.1).requires_grad_()
v = torch.nn.Parameter(torch.randn(8) * 0.1)
lr = 0.05
sizes = []
for step in range(10):
    x = torch.randn(20, 4)
    h = torch.tanh(x @ w)
    h.retain_grad()
    loss = (h @ v - x.sum(1)).pow(2).mean()
    loss.backward()
    sizes.append(h.grad.norm().item())
    with torch.no_grad():
        for p in (w, v):
            p -= lr * p.grad
            p.grad = None
