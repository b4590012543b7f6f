import torch
from torch import nn
import torch.nn.functional as F

torch.manual_seed(0)
a, b = nn.Linear(4, 8), nn.Linear(8, 1)
opt = torch.optim.Adam([*a.parameters(), *b.parameters()], lr=1e-3)
for _ in range(10):
    x = torch.randn(20, 4) + 1000.0 * torch.ones(4)
    with torch.no_grad():
        a.weight.abs_()
    h = F.hardtanh(a(x))  # expect: GS105
    loss = (b(h) - 1).pow(2).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
