import torch
from torch import nn

torch.manual_seed(0)
net = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 1))
for p in net.parameters():
    nn.init.normal_(p, std=1.0)
opt = torch.optim.SGD(net.parameters(), lr=0.1)
x = torch.randn(32, 16)
y = x.mean(1, keepdim=True)
for i in range(6):
    opt.zero_grad()
    loss = nn.functional.mse_loss(net(x), y)
    loss.backward()  # expect: GS102
    opt.step()
