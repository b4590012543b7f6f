"""A GAN whose discriminator's backward runs through the generator's graph and frees it."""

# raises: RuntimeError

import torch
from torch import nn

torch.manual_seed(0)
bce = nn.BCEWithLogitsLoss()
generator = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 2))
discriminator = nn.Sequential(nn.Linear(2, 16), nn.LeakyReLU(0.2), nn.Linear(16, 1))
g_opt = torch.optim.Adam(generator.parameters(), lr=1e-3)
d_opt = torch.optim.Adam(discriminator.parameters(), lr=1e-3)
ones, zeros = torch.ones(32, 1), torch.zeros(32, 1)
for step in range(5):
    real = torch.randn(32, 2) + 2
    fake = generator(torch.randn(32, 2))  # expect: GS502
    d_loss = bce(discriminator(real), ones) + bce(discriminator(fake), zeros)
    d_opt.zero_grad()
    d_loss.backward()
    d_opt.step()
    g_loss = bce(discriminator(fake), ones)
    g_opt.zero_grad()
    g_loss.backward()
    g_opt.step()
