"""Linear regression without noise, solved long before its learning rate has decayed to nothing."""

import torch
from torch import nn

torch.manual_seed(0)
line = nn.Linear(3, 1)
adam = torch.optim.Adam(line.parameters(), lr=0.3)
decay = torch.optim.lr_scheduler.ExponentialLR(adam, gamma=0.8)
x = torch.randn(80, 3)
y = x @ torch.tensor([[1.0], [-2.0], [0.5]]) + 0.3
for _ in range(120):
    adam.zero_grad()
    loss = (line(x) - y).square().mean()
    loss.backward()
    adam.step()
    decay.step()
