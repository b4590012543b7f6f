"""A regression whose targets become ten times larger at every stage, with clipped gradients."""

import torch
from torch import nn

torch.manual_seed(0)
net = nn.Sequential(nn.Linear(5, 24), nn.ReLU(), nn.Linear(24, 1))
optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
for stage in range(4):
    for _ in range(14):
        x = torch.randn(32, 5)
        target = x.mean(1, keepdim=True) * 10**stage
        loss = nn.functional.mse_loss(net(x), target)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimizer.step()
