import torch
from torch import nn

torch.manual_seed(0)
energy = nn.Sequential(nn.Linear(2, 32), nn.SiLU(), nn.Linear(32, 32), nn.SiLU(), nn.Linear(32, 1))
opt = torch.optim.Adam(energy.parameters(), lr=1e-3)


def langevin(x, n=8):
    x = x.clone().requires_grad_(True)
    for _ in range(n):
        g, = torch.autograd.grad(energy(x).sum(), x)
        x = (x - 0.1 * g + 0.05 * torch.randn_like(x)).detach().requires_grad_(True)
    return x.detach()


for step in range(12):
    real = torch.randn(32, 2) * 0.5 + 1
    fake = langevin(torch.randn(32, 2))
    e_real, e_fake = energy(real), energy(fake)
    loss = (e_real - e_fake).mean() + 0.1 * (e_real ** 2 + e_fake ** 2).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
