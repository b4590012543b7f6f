"""Inputs from a wider range at every stage: the loss rises though the fit gets better."""

import torch
from torch import nn

torch.manual_seed(0)


def data(width):
    x = torch.randn(48, 3) * width
    return x, (x * x).sum(1, keepdim=True)


net = nn.Sequential(nn.Linear(3, 24), nn.ReLU(), nn.Linear(24, 1))
optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
for width in (1.0, 3.0, 5.0, 7.0):
    for _ in range(15):
        x, y = data(width)
        optimizer.zero_grad()
        loss = (net(x) - y).square().mean()
        loss.backward()
        optimizer.step()
