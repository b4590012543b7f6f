"""A fit by hand whose backward keeps a graph that the next step builds anew."""

import torch

torch.manual_seed(0)
t = torch.linspace(0, 3, 30)
measured = 2.0 * torch.exp(-0.7 * t)
a = torch.tensor(1.0, requires_grad=True)
k = torch.tensor(0.2, requires_grad=True)
lr = 0.05
for step in range(12):
    loss = (a * torch.exp(-k * t) - measured).pow(2).mean()
    loss.backward(retain_graph=True)  # expect: GS504
    with torch.no_grad():
        for p in (a, k):
            p -= lr * p.grad
            p.grad = None
