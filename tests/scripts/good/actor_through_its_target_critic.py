"""The actor learns through the target critic, whose own gradients nobody needs."""

import copy

import torch
from torch import nn

torch.manual_seed(0)
actor = nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Linear(16, 1), nn.Tanh())
critic = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 1))
target = copy.deepcopy(critic)
actor_optimizer = torch.optim.Adam(actor.parameters(), lr=1e-3)
critic_optimizer = torch.optim.Adam(critic.parameters(), lr=1e-3)
for _ in range(30):
    state, action, after = torch.randn(32, 3), torch.rand(32, 1) * 2 - 1, torch.randn(32, 3)
    reward = -(state[:, :1] - action).square()
    with torch.no_grad():
        goal = reward + 0.9 * target(torch.cat([after, actor(after)], 1))
    critic_loss = nn.functional.mse_loss(critic(torch.cat([state, action], 1)), goal)
    critic_optimizer.zero_grad()
    critic_loss.backward()
    critic_optimizer.step()
    actor_loss = -target(torch.cat([state, actor(state)], 1)).mean()
    actor_optimizer.zero_grad()
    actor_loss.backward()
    actor_optimizer.step()
    with torch.no_grad():
        for old, new in zip(target.parameters(), critic.parameters()):
            old.lerp_(new, 0.02)
