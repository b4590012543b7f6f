import torch
from torch import nn
torch.manual_seed(0)
net = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))
F = {n: torch.zeros_like(p) for n, p in net.named_parameters()}
for i in range(30):
    net.zero_grad()
    x = torch.randn(1, 4)
    nn.functional.cross_entropy(net(x), torch.randint(0, 3, (1,))).backward()
    for n, p in net.named_parameters():
        F[n] += p.grad ** 2
