"""Cosine schedule down to exactly zero, with a few epochs behind it, and a solved fit annealed."""

import torch
from torch import nn

torch.manual_seed(0)
net = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 3))
optimizer = torch.optim.AdamW(net.parameters(), lr=1e-2)
cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=40)
x = torch.randn(60, 4)
y = x[:, :3].argmax(1)
for epoch in range(46):
    loss = nn.functional.cross_entropy(net(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if epoch < 40:
        cosine.step()
