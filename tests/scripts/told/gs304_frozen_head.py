"""Everything is frozen but one layer, and the head that was just made with it."""

import torch
from torch import nn

torch.manual_seed(0)
body, adapt, head = nn.Linear(8, 24), nn.Linear(24, 24), nn.Linear(24, 3)
net = nn.Sequential(body, nn.Tanh(), adapt, nn.Tanh(), head)
for parameter in net.parameters():
    parameter.requires_grad = False
for parameter in adapt.parameters():
    parameter.requires_grad = True
optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
for _ in range(6):
    x = torch.randn(32, 8)
    loss = nn.functional.cross_entropy(net(x), (x[:, 0] > 0).long())  # expect: GS304
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
