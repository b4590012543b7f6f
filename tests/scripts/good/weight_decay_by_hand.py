import torch
from torch import nn

torch.manual_seed(0)
net = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 1))
opt = torch.optim.SGD(net.parameters(), lr=0.01)
for _ in range(6):
    x = torch.randn(16, 8)
    l2 = sum(p.pow(2).sum() for p in net.parameters())
    loss = (net(x) - x[:, :1]).pow(2).mean() + 1e-5 * l2
    opt.zero_grad()
    loss.backward()
    opt.step()
