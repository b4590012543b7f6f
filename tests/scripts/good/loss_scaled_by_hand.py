"""Static loss scaling: multiplied before backward, divided before the update."""
import torch
import torch.nn as nn

torch.manual_seed(0)
net = nn.Sequential(nn.Linear(5, 16), nn.Tanh(), nn.Linear(16, 1))
opt = torch.optim.Adam(net.parameters(), lr=1e-3)
SCALE = 1000.0
x = torch.randn(40, 5)
y = torch.sin(x).sum(1, keepdim=True)
for it in range(20):
    opt.zero_grad()
    loss = nn.functional.mse_loss(net(x), y)
    (loss * SCALE).backward()
    for p in net.parameters():
        p.grad /= SCALE
    opt.step()
