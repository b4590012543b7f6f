import copy, torch
from torch import nn
torch.manual_seed(0)
actor = nn.Sequential(nn.Linear(3, 32), nn.ReLU(), nn.Linear(32, 1), nn.Tanh())
critic = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 1))
ta, tc = copy.deepcopy(actor), copy.deepcopy(critic)
oa = torch.optim.Adam(actor.parameters(), lr=1e-3)
oc = torch.optim.Adam(critic.parameters(), lr=1e-3)
for it in range(30):
    s, s2, a, r = torch.randn(32, 3), torch.randn(32, 3), torch.rand(32, 1) * 2 - 1, torch.randn(32, 1)
    y = r + 0.9 * tc(torch.cat([s2, ta(s2)], 1)).detach()
    lc = (critic(torch.cat([s, a], 1)) - y).pow(2).mean()
    oc.zero_grad()
    lc.backward()
    oc.step()
    la = -critic(torch.cat([s, actor(s)], 1)).mean()
    oa.zero_grad()
    la.backward()
    oa.step()
    with torch.no_grad():
        for p, q in zip([*ta.parameters(), *tc.parameters()], [*actor.parameters(), *critic.parameters()]):
            p.mul_(0.99).add_(0.01 * q)
