import math

import torch
from torch import nn

torch.manual_seed(0)
x = torch.linspace(-3, 3, 120).unsqueeze(1)
y = torch.sin(2 * x) + 0.2 * torch.randn_like(x)
trunk = nn.Sequential(nn.Linear(1, 24), nn.Tanh())
pi, mu, log_sigma = nn.Linear(24, 5), nn.Linear(24, 5), nn.Linear(24, 5)
params = [p for m in (trunk, pi, mu, log_sigma) for p in m.parameters()]
optimiser = torch.optim.RMSprop(params, lr=1e-3)
losses = []
for epoch in range(30):
    optimiser.zero_grad()
    h = trunk(x)
    w = torch.log_softmax(pi(h), dim=1)
    s = log_sigma(h).clamp(-5, 3)
    log_p = -0.5 * ((y - mu(h)) / s.exp()) ** 2 - s - 0.5 * math.log(2 * math.pi)
    loss = -torch.logsumexp(w + log_p, dim=1).mean()
    loss.backward()
    optimiser.step()
    losses.append(loss.item())
