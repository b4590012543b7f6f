import torch
from torch import nn

torch.manual_seed(0)
layers = nn.ModuleList(nn.Linear(10, 10) for _ in range(3))
opts = [torch.optim.Adam(layer.parameters(), lr=1e-2) for layer in layers]
for _ in range(10):
    pos, neg = torch.rand(16, 10) + 0.5, torch.rand(16, 10) - 0.5
    for layer, opt in zip(layers, opts):
        a, b = torch.relu(layer(pos)), torch.relu(layer(neg))
        loss = nn.functional.softplus(torch.cat([1 - a.pow(2).mean(1), b.pow(2).mean(1) - 1])).mean()
        opt.zero_grad()
        loss.backward()
        opt.step()
        pos, neg = nn.functional.normalize(a.detach(), dim=1), nn.functional.normalize(b.detach(), dim=1)
