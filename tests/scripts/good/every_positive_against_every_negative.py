import torch
from torch import nn

torch.manual_seed(0)
net = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 1))
opt = torch.optim.Adam(net.parameters(), lr=1e-3)
for step in range(8):
    pos, neg = torch.randn(16, 6), torch.randn(16, 6)
    p = net(pos)
    n = net(neg).squeeze(1)
    margin = p - n  # every positive against every negative
    loss = nn.functional.softplus(-margin).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
