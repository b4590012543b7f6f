import torch
import torch.nn as nn

torch.manual_seed(0)
net = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 1))
opt = torch.optim.SGD(net.parameters(), lr=1.0)
data = torch.randn(64, 4) * 5
target = data.pow(2).sum(1, keepdim=True)
for i in range(40):
    opt.zero_grad()
    loss = ((net(data) - target) ** 2).mean()
    loss.backward()  # expect: GS102
    opt.step()
