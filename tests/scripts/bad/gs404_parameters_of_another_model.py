import torch
from torch import nn

torch.manual_seed(0)


def build():
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))


net = build()
opt = torch.optim.Adam(build().parameters(), lr=1e-2)  # expect: GS404
for _ in range(8):
    x = torch.randn(16, 4)
    loss = nn.functional.mse_loss(net(x), x.sum(1, keepdim=True))
    net.zero_grad()
    loss.backward()
    opt.step()
