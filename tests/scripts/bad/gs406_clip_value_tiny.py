import torch
from torch import nn

torch.manual_seed(0)
net = nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 1))
opt = torch.optim.SGD(net.parameters(), lr=1e-3)
for i in range(12):
    x = torch.randn(32, 10)
    loss = nn.functional.mse_loss(net(x), 5 * x[:, :1])
    opt.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_value_(net.parameters(), 1e-8)  # expect: GS406
    opt.step()
