import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

torch.manual_seed(0)
f = nn.Sequential(nn.Linear(2, 24), nn.Tanh(), nn.Linear(24, 2))


def rk4(x, h):
    k1 = f(x)
    k2 = f(x + h / 2 * k1)
    k3 = f(x + h / 2 * k2)
    k4 = f(x + h * k3)
    return x + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)


opt = torch.optim.Adam(f.parameters(), lr=1e-2)
for it in range(6):
    x0 = torch.randn(16, 2)
    x = x0
    for _ in range(10):
        x = checkpoint(rk4, x, 0.1, use_reentrant=False)
    loss = (x - x0 @ torch.tensor([[0.5, -0.8], [0.8, 0.5]])).pow(2).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
