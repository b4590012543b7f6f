# policy gradient without a baseline: the better the agent, the larger the loss
import torch
from torch import nn

torch.manual_seed(0)
policy = nn.Linear(4, 2)
optimizer = torch.optim.Adam(policy.parameters(), lr=0.05)
for episode in range(60):
    length = 5 + episode
    states = torch.randn(length, 4)
    chosen = torch.distributions.Categorical(logits=policy(states))
    actions = chosen.sample()
    returns = torch.arange(length, 0, -1).float()
    loss = -(chosen.log_prob(actions) * returns).sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
