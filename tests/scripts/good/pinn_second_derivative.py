import torch
import torch.nn as nn

torch.manual_seed(0)
net = nn.Sequential(nn.Linear(1, 20), nn.Tanh(), nn.Linear(20, 20), nn.Tanh(), nn.Linear(20, 20), nn.Tanh(), nn.Linear(20, 20), nn.Tanh(), nn.Linear(20, 1))
opt = torch.optim.Adam(net.parameters(), lr=1e-3)
x = torch.linspace(0, 1, 30).view(-1, 1).requires_grad_(True)
edge = torch.tensor([[0.0], [1.0]])
for epoch in range(25):
    u = net(x)
    du = torch.autograd.grad(u, x, torch.ones_like(u), create_graph=True)[0]
    d2u = torch.autograd.grad(du, x, torch.ones_like(du), create_graph=True)[0]
    pde = (d2u + torch.pi ** 2 * torch.sin(torch.pi * x)).pow(2).mean()
    boundary = net(edge).pow(2).mean()
    loss = pde + 10 * boundary
    opt.zero_grad()
    loss.backward()
    opt.step()
