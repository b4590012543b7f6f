import torch
from torch import nn
torch.manual_seed(0)
G = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 2))
C = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 1))
og = torch.optim.RMSprop(G.parameters(), lr=5e-5)
oc = torch.optim.RMSprop(C.parameters(), lr=5e-5)
for it in range(30):
    for _ in range(5):
        oc.zero_grad()
        loss = C(G(torch.randn(16, 4)).detach()).mean() - C(torch.randn(16, 2) + 2).mean()
        loss.backward()
        oc.step()
        for p in C.parameters():
            p.data.clamp_(-0.01, 0.01)
    og.zero_grad()
    g = -C(G(torch.randn(16, 4))).mean()
    g.backward()
    og.step()
