"""retain_graph where it belongs: each term's gradient by itself, and players with own inputs."""

import torch
from torch import nn

torch.manual_seed(0)
trunk, left, right = nn.Linear(6, 12), nn.Linear(12, 1), nn.Linear(12, 1)
modules = nn.ModuleList([trunk, left, right])
opt = torch.optim.SGD(modules.parameters(), lr=0.02)
for step in range(10):
    x = torch.randn(16, 6)
    h = torch.tanh(trunk(x))
    first = (left(h) - x[:, :1]).pow(2).mean()
    second = (right(h) - x[:, 1:2]).abs().mean()
    opt.zero_grad()
    first.backward(retain_graph=True)
    part = trunk.weight.grad.norm()
    second.backward()
    opt.step()
for step in range(6):
    x = torch.randn(16, 6)
    loss = left(torch.tanh(trunk(x))).pow(2).mean()
    opt.zero_grad()
    loss.backward(inputs=[*left.parameters()], retain_graph=True)
    loss.backward(inputs=[*trunk.parameters()])
    opt.step()
for step in range(6):
    loss = (right(torch.tanh(trunk(torch.randn(16, 6)))) - 1).pow(2).mean()
    loss.backward(retain_graph=True)
    noise = trunk.weight.grad.std()
    opt.zero_grad()
    loss.backward()
    opt.step()
