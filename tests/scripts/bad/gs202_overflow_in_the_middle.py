import torch
from torch import nn

torch.manual_seed(0)
net = nn.Linear(6, 1)
opt = torch.optim.Adam(net.parameters(), lr=1e-3)
for step in range(80):
    x = torch.randn(16, 6)
    if step == 52:
        x[3] *= 1e4  # one sensor reading out of range
    rate = net(x).squeeze(1)
    mean = torch.exp(rate.abs())  # expect: GS202
    loss = (mean - rate).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
