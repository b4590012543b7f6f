"""Totals for the log: of numbers, of detached losses, and of losses that are run backward once."""

import torch
from torch import nn

torch.manual_seed(0)
net = nn.Sequential(nn.Linear(5, 16), nn.ReLU(), nn.Linear(16, 1))
optimizer = torch.optim.SGD(net.parameters(), lr=1e-3)
numbers, values, average = 0.0, torch.zeros(()), 0.0
for _ in range(25):
    x = torch.randn(16, 5)
    loss = nn.functional.mse_loss(net(x), x.sum(1, keepdim=True))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    numbers += loss.item()
    values = values + loss.detach()
    average = 0.9 * average + 0.1 * float(loss)
for _ in range(3):
    total = 0
    for _ in range(25):
        x = torch.randn(4, 5)
        total = total + nn.functional.mse_loss(net(x), x.sum(1, keepdim=True)) / 25
    optimizer.zero_grad()
    total.backward()
    optimizer.step()
