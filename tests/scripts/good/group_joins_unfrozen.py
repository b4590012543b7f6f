"""Groups join the optimizer in the middle: one is thawed in time, one is thawed an epoch later."""

import torch
from torch import nn

torch.manual_seed(0)
low, high, head = nn.Linear(6, 16), nn.Linear(16, 16), nn.Linear(16, 3)
low.requires_grad_(False)
high.requires_grad_(False)
optimizer = torch.optim.Adam(head.parameters(), lr=1e-2)
x = torch.randn(60, 6)
y = x[:, :3].argmax(1)
for epoch in range(12):
    if epoch == 4:
        high.requires_grad_(True)
        optimizer.add_param_group({"params": list(high.parameters()), "lr": 1e-3})
        optimizer.add_param_group({"params": list(low.parameters()), "lr": 1e-4})
    if epoch == 8:
        low.requires_grad_(True)
    loss = nn.functional.cross_entropy(head(torch.relu(high(torch.relu(low(x))))), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
