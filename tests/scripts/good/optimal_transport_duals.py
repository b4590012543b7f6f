# optimal transport duals by two networks
import torch
from torch import nn

torch.manual_seed(0)
f = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 1))
g = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 1))
opt = torch.optim.Adam([*f.parameters(), *g.parameters()], lr=1e-3)
for step in range(8):
    x, y = torch.randn(12, 2), torch.randn(12, 2)
    cost = torch.cdist(x, y)
    u, v = f(x), g(y).squeeze(-1)
    gap = torch.exp((u + v - cost) / 0.1)
    loss = -(u.mean() + v.mean()) + 0.1 * gap.mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
