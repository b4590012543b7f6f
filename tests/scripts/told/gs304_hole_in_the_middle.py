import torch
from torch import nn

torch.manual_seed(0)
net = nn.Sequential(*[m for _ in range(6) for m in (nn.Linear(12, 12), nn.ReLU())], nn.Linear(12, 1))
net[4].requires_grad_(False)
opt = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], lr=1e-3)
for _ in range(5):
    x = torch.randn(16, 12)
    opt.zero_grad()
    out = net(x)  # expect: GS304
    loss = (out - x[:, :1]).pow(2).mean()
    loss.backward()
    opt.step()
