"""The total for the log is a sum of tensors, so that every step's graph stays in memory."""

import torch
from torch import nn

torch.manual_seed(0)
net = nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, 1))
optimizer = torch.optim.SGD(net.parameters(), lr=1e-3)
epoch_loss = 0.0
for _ in range(25):
    x = torch.randn(16, 5)
    loss = nn.functional.mse_loss(net(x), x.sum(1, keepdim=True))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    epoch_loss += loss  # expect: GS503
print(epoch_loss / 25)
