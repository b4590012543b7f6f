import torch
from torch import nn
torch.manual_seed(0)
net = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 4))
cls = nn.Linear(4, 2)
opt = torch.optim.Adam([*net.parameters(), *cls.parameters()], lr=1e-2)
for i in range(60):
    a = torch.randn(16, 8)
    p = a + 0.01 * torch.randn(16, 8)
    n = a + 5
    loss = nn.functional.triplet_margin_loss(net(a), net(p), net(n), margin=0.5)
    loss = loss + 0.1 * nn.functional.cross_entropy(cls(net(a)), (a[:, 0] > 0).long())
    opt.zero_grad()
    loss.backward()
    opt.step()
