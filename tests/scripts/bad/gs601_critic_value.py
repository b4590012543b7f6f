# an actor and a critic: the critic's value is [T, 1], the returns are [T]
import torch
from torch import nn

torch.manual_seed(0)
actor, critic = nn.Linear(4, 2), nn.Linear(4, 1)
opt = torch.optim.Adam([*actor.parameters(), *critic.parameters()], lr=1e-3)
for episode in range(8):
    states = torch.randn(30, 4)
    rewards = states[:, 0]
    returns = rewards.flip(0).cumsum(0).flip(0)
    policy = torch.distributions.Categorical(logits=actor(states))
    actions = policy.sample()
    values = critic(states)
    advantage = returns - values.detach().squeeze(1)
    critic_loss = nn.functional.smooth_l1_loss(values, returns)  # expect: GS601
    loss = -(policy.log_prob(actions) * advantage).mean() + 0.5 * critic_loss
    opt.zero_grad()
    loss.backward()
    opt.step()
