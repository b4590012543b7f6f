"""Only the head is trained, and the backbone is told so."""

import torch
from torch import nn

torch.manual_seed(0)
backbone = nn.Sequential(nn.Linear(12, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU())
backbone.requires_grad_(False)
head = nn.Sequential(nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 3))
optimizer = torch.optim.SGD(head.parameters(), lr=0.1)
x, y = torch.randn(60, 12), torch.randint(0, 3, (60,))
for epoch in range(15):
    loss = nn.functional.cross_entropy(head(backbone(x)), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
