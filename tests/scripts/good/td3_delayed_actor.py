import copy

import torch
from torch import nn

torch.manual_seed(0)
actor = nn.Sequential(nn.Linear(3, 24), nn.ReLU(), nn.Linear(24, 1), nn.Tanh())
critic = nn.Sequential(nn.Linear(4, 24), nn.ReLU(), nn.Linear(24, 1))
actor_t, critic_t = copy.deepcopy(actor), copy.deepcopy(critic)
opt_a, opt_c = torch.optim.Adam(actor.parameters(), 1e-3), torch.optim.Adam(critic.parameters(), 1e-3)
for step in range(16):
    s, s2, a = torch.randn(24, 3), torch.randn(24, 3), torch.rand(24, 1) * 2 - 1
    with torch.no_grad():
        target = -s[:, :1].abs() + 0.9 * critic_t(torch.cat([s2, actor_t(s2)], 1))
    loss = (critic(torch.cat([s, a], 1)) - target).pow(2).mean()
    opt_c.zero_grad()
    loss.backward()
    opt_c.step()
    if step % 4 == 3:
        actor_loss = -critic(torch.cat([s, actor(s)], 1)).mean()
        opt_a.zero_grad()
        actor_loss.backward()
        opt_a.step()
        for t, p in zip([*actor_t.parameters(), *critic_t.parameters()], [*actor.parameters(), *critic.parameters()]):
            t.data.lerp_(p.data, 0.05)
