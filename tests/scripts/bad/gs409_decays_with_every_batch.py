"""A decay meant for epochs that is advanced with every batch: nothing is left after two epochs."""

import torch
from torch import nn

torch.manual_seed(0)
net = nn.Sequential(nn.Linear(5, 20), nn.Tanh(), nn.Linear(20, 1))
optimizer = torch.optim.Adam(net.parameters(), lr=2e-3)
schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.3)
x = torch.randn(240, 5)
y = x.square().sum(1, keepdim=True)
for _epoch in range(4):
    for rows in torch.arange(240).split(16):
        loss = nn.functional.mse_loss(net(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()  # expect: GS409
