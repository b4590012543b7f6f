import torch
from torch import nn
from torch.func import functional_call
torch.manual_seed(0)
net = nn.Sequential(nn.Linear(1, 20), nn.ReLU(), nn.Linear(20, 1))
meta = torch.optim.Adam(net.parameters(), lr=1e-3)
for it in range(8):
    meta.zero_grad()
    for t in range(3):
        ps = dict(net.named_parameters())
        x = torch.rand(10, 1) * 6 - 3
        y = torch.sin(x + t)
        inner = (functional_call(net, ps, x) - y).pow(2).mean()
        gs = torch.autograd.grad(inner, list(ps.values()), create_graph=True)
        ps = {k: v - 0.01 * g for (k, v), g in zip(ps.items(), gs)}
        (functional_call(net, ps, x) - y).pow(2).mean().backward()
    meta.step()
