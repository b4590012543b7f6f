import torch
from torch import autograd, nn

torch.manual_seed(0)
critic = nn.Sequential(nn.Linear(2, 48), nn.Tanh(), nn.Linear(48, 48), nn.Tanh(), nn.Linear(48, 1))
gen = nn.Sequential(nn.Linear(3, 48), nn.ReLU(), nn.Linear(48, 2))
oc = torch.optim.Adam(critic.parameters(), 1e-3)
og = torch.optim.Adam(gen.parameters(), 1e-3)

def penalty(a, b):
    eps = torch.rand(len(a), 1)
    mix = (eps * a + (1 - eps) * b).requires_grad_()
    grad, = autograd.grad(critic(mix).sum(), mix, create_graph=True)
    return ((grad.norm(2, dim=1) - 1) ** 2).mean()

for step in range(12):
    for _ in range(2):
        real = torch.randn(24, 2) + 1.0
        fake = gen(torch.randn(24, 3)).detach()
        oc.zero_grad()
        lc = critic(fake).mean() - critic(real).mean() + 10 * penalty(real, fake)
        lc.backward()
        oc.step()
    og.zero_grad()
    lg = -critic(gen(torch.randn(24, 3))).mean()
    lg.backward()
    og.step()
