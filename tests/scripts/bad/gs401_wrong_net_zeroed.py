import torch
from torch import nn

torch.manual_seed(0)
actor, critic = nn.Linear(4, 2), nn.Linear(4, 1)
opt_actor = torch.optim.Adam(actor.parameters(), lr=1e-3)
opt_critic = torch.optim.Adam(critic.parameters(), lr=1e-3)
for step in range(10):
    s = torch.randn(16, 4)
    v = critic(s)
    critic_loss = (v - s[:, :1]).pow(2).mean()
    actor.zero_grad()
    critic_loss.backward()  # expect: GS401
    opt_critic.step()
    logp = torch.log_softmax(actor(s), 1)[:, 0]
    actor_loss = -(logp * (s[:, 0] - v.detach().squeeze(1))).mean()
    actor.zero_grad()
    actor_loss.backward()
    opt_actor.step()
