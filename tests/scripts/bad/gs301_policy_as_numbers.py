"""Policy and baseline: the log probabilities reach the loss as Python numbers."""

import torch
from torch import nn
from torch.distributions import Categorical

torch.manual_seed(0)
policy = nn.Linear(5, 3)
baseline = nn.Linear(5, 1)
optimizer = torch.optim.Adam([*policy.parameters(), *baseline.parameters()], lr=1e-2)
for _ in range(8):
    states = torch.randn(16, 5)
    choices = Categorical(logits=policy(states))
    taken = choices.sample()
    rewards = (taken == 0).float()
    value = baseline(states)[:, 0]
    chances = []
    for i in range(16):
        chances.append(choices.log_prob(taken)[i].item())  # expect: GS301
    gain = (rewards - value).detach()
    loss = (rewards - value).square().mean() - (torch.tensor(chances) * gain).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
