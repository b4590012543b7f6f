"""Grad mode is switched off and on by calls, by a guard that is closed, and in a generator."""

import torch
from torch import nn


def evaluate(net, inputs, targets):
    before = torch.is_grad_enabled()
    torch.set_grad_enabled(False)
    error = nn.functional.mse_loss(net(inputs), targets).item()
    torch.set_grad_enabled(before)
    return error


def batches(count):
    for _ in range(count):
        with torch.no_grad():
            inputs = torch.randn(16, 6).mul_(0.5)
        yield inputs, inputs.sum(1, keepdim=True)


torch.manual_seed(0)
net = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Linear(16, 1))
optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
for _ in range(3):
    for inputs, targets in batches(5):
        optimizer.zero_grad()
        nn.functional.mse_loss(net(inputs), targets).backward()
        optimizer.step()
    evaluate(net, *next(batches(1)))
    guard = torch.no_grad()
    guard.__enter__()
    net(inputs)
    guard.__exit__(None, None, None)
