"""An actor and a critic in one forward pass; the critic is updated before the actor's backward."""

# raises: RuntimeError

import torch
import torch.nn.functional as F

torch.manual_seed(0)
actor = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 2))
critic = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.ReLU(), torch.nn.Linear(8, 1))
actor_optim = torch.optim.Adam(actor.parameters(), lr=1e-3)
critic_optim = torch.optim.Adam(critic.parameters(), lr=1e-3)


def update(state, target):
    action = actor(state)
    value = critic(torch.cat([state, action], dim=1))
    critic_loss = F.mse_loss(value, target)
    actor_loss = -value.mean()
    critic_optim.zero_grad()
    critic_loss.backward(retain_graph=True)
    critic_optim.step()  # expect: GS501
    actor_optim.zero_grad()
    actor_loss.backward()
    actor_optim.step()


for _ in range(4):
    update(torch.randn(16, 4), torch.randn(16, 1))
