"""sample() where it belongs: actions with their log_prob, codes that are only looked at."""

import torch
from torch import nn
from torch.distributions import Bernoulli, Categorical, Normal, kl_divergence

torch.manual_seed(0)
body, mean, jump, way = nn.Linear(4, 16), nn.Linear(16, 2), nn.Linear(16, 1), nn.Linear(16, 3)
log_std = nn.Parameter(torch.zeros(2))
critic = nn.Linear(16, 1)
learned = [*(p for m in (body, mean, jump, way, critic) for p in m.parameters()), log_std]
optimizer = torch.optim.Adam(learned, lr=1e-2)
for _ in range(10):
    state = torch.randn(32, 4)
    h = body(state).tanh()
    push, leap = Normal(mean(h), log_std.exp()), Bernoulli(logits=jump(h)[:, 0])
    turn = Categorical(logits=way(h))
    action, high, side = push.sample(), leap.sample(), turn.sample()
    reward = -(action - state[:, :2]).square().sum(1) + high + (side == 1)
    value = critic(h)[:, 0]
    advantage = reward - value.detach()
    log_prob = push.log_prob(action).sum(1) + leap.log_prob(high) + turn.log_prob(side)
    loss = -(log_prob * advantage).mean() + 0.5 * (reward - value).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        tried = Normal(mean(body(state).tanh()), log_std.exp()).sample()

encoder, decoder = nn.Linear(8, 4), nn.Linear(2, 8)
optimizer = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-2)
for _ in range(10):
    x = torch.randn(32, 8)
    mu, log_var = encoder(x).chunk(2, 1)
    q, prior = Normal(mu, (0.5 * log_var).exp()), Normal(torch.zeros(2), torch.ones(2))
    loss = (decoder(q.rsample()) - x).square().mean() + 0.01 * kl_divergence(q, prior).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    spread = q.sample().std().item()
