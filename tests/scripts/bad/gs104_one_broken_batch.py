import torch
import torch.nn as nn

torch.manual_seed(0)
net = nn.Sequential(nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 1))
opt = torch.optim.SGD(net.parameters(), lr=0.02)
for step in range(60):
    x = torch.randn(32, 4)
    y = x.sum(1, keepdim=True)
    if step == 35:
        y = y + 300.0  # a sensor that failed
    loss = nn.functional.mse_loss(net(x), y)
    opt.zero_grad()
    loss.backward()  # expect: GS104
    opt.step()
