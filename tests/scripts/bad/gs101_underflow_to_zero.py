import torch
from torch import nn

torch.manual_seed(0)
layers = nn.ModuleList([nn.Linear(16, 16) for _ in range(60)])
last = nn.Linear(16, 1)
opt = torch.optim.Adam([*layers.parameters(), *last.parameters()], lr=1e-3)
for k in range(4):
    h = torch.randn(8, 16)
    for layer in layers:
        h = layer(h).sigmoid()  # expect: GS101
    loss = last(h).pow(2).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
