"""Climbs twice from the weights before it takes the gradient there back to them."""

import torch
from torch import nn

torch.manual_seed(0)
model = nn.Sequential(nn.Linear(6, 12), nn.Tanh(), nn.Linear(12, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.05)


def differentiate(x, y):
    optimizer.zero_grad()
    loss = nn.functional.mse_loss(model(x), y)
    loss.backward()


@torch.no_grad()
def climb(rho):
    for p in model.parameters():
        p.add_(rho * p.grad / (p.grad.norm() + 1e-12))


for _ in range(12):
    x = torch.randn(16, 6)
    y = x[:, :1] * x[:, 1:2]
    before = [p.detach().clone() for p in model.parameters()]
    differentiate(x, y)
    climb(0.01)
    differentiate(x, y)
    climb(0.01)
    differentiate(x, y)
    with torch.no_grad():
        for p, old in zip(model.parameters(), before):
            p.copy_(old)
    optimizer.step()
