import torch
from torch import nn

torch.manual_seed(0)
net = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 3))
opt = torch.optim.Adam(net.parameters(), lr=1e-3)
for step in range(6):
    x = torch.randn(8, 3)
    out = net(x)
    same = (out - out).pow(2).mean(0)
    spread = same.sqrt()  # expect: GS201
    loss = (out - x).pow(2).mean() + spread.mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
