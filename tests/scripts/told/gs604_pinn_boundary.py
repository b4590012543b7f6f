import torch
from torch import nn

torch.manual_seed(0)
u = nn.Sequential(nn.Linear(1, 20), nn.Tanh(), nn.Linear(20, 1))
opt = torch.optim.Adam(u.parameters(), lr=1e-3)
for step in range(6):
    t = torch.rand(32, 1, requires_grad=True)
    du, = torch.autograd.grad(u(t).sum(), t, create_graph=True)
    residual = (du - 1000 * torch.cos(30 * t)).pow(2).mean()
    boundary = u(torch.zeros(1, 1)).pow(2).mean()  # expect: GS604
    loss = residual + boundary
    opt.zero_grad()
    loss.backward()
    opt.step()
