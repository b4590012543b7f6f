"""Actor and critic in turns: the critic runs backward and is cleared, but only the actor steps."""

import torch
from torch import nn

torch.manual_seed(0)
policy = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 3))
value = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 1))
policy_optimizer = torch.optim.Adam(policy.parameters(), lr=1e-3)
value_optimizer = torch.optim.Adam(value.parameters(), lr=1e-2)
for _ in range(15):
    states = torch.randn(24, 4)
    scores = policy(states).log_softmax(1)
    chosen = scores.detach().exp().multinomial(1)
    returns = (chosen[:, 0] == (states[:, 0] > 0).long()).float()
    expected = value(states)[:, 0]
    value_optimizer.zero_grad()
    value_loss = (returns - expected).square().mean()
    value_loss.backward()  # expect: GS405
    advantage = returns - expected.detach()
    policy_optimizer.zero_grad()
    policy_loss = -(advantage * scores.gather(1, chosen)[:, 0]).mean()
    policy_loss.backward()
    policy_optimizer.step()
