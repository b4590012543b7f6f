"""A variational autoencoder whose code is drawn by sample(): the encoder gets no gradient."""

import torch
from torch import nn
from torch.distributions import Independent, Normal

torch.manual_seed(0)


class Autoencoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(12, 24), nn.ELU())
        self.heads = nn.Linear(24, 6)
        self.decode = nn.Sequential(nn.Linear(3, 24), nn.ELU(), nn.Linear(24, 12))

    def forward(self, x):
        mean, log_std = self.heads(self.body(x)).chunk(2, dim=-1)
        posterior = Independent(Normal(mean, log_std.exp()), 1)
        code = posterior.sample()  # expect: GS301
        return self.decode(code)


net = Autoencoder()
optimizer = torch.optim.RMSprop(net.parameters(), lr=1e-3)
basis = torch.randn(2, 12)
for _ in range(12):
    x = torch.randn(32, 2) @ basis
    loss = (net(x) - x).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
