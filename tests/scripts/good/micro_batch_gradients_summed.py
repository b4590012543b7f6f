import torch
from torch import nn

torch.manual_seed(0)
net = nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 1))
opt = torch.optim.Adam(net.parameters(), lr=1e-3)
for step in range(5):
    opt.zero_grad()
    for x in torch.randn(32, 6).chunk(4):
        loss = nn.functional.mse_loss(net(x), x[:, :1], reduction="sum") / 32
        loss.backward()
    opt.step()
