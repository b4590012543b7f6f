import torch
from torch import nn
torch.manual_seed(0)
G = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 2))
D = nn.Sequential(nn.Linear(2, 64), nn.LeakyReLU(0.2), nn.Linear(64, 1))
og = torch.optim.Adam(G.parameters(), lr=1e-5)
od = torch.optim.Adam(D.parameters(), lr=2e-2)
for i in range(80):
    real, fake = torch.randn(16, 2) * 0.1 + 6, G(torch.randn(16, 4))
    ld = torch.relu(1 - D(real)).mean() + torch.relu(1 + D(fake.detach())).mean()
    od.zero_grad()
    ld.backward()
    od.step()
    lg = -D(fake).mean()
    og.zero_grad()
    lg.backward()
    og.step()
