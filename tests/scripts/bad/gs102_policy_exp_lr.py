import torch
from torch import nn

torch.manual_seed(0)
net = nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 1))
opt = torch.optim.SGD(net.parameters(), lr=1.0)
X = torch.randn(64, 6) * 5
Y = X.sum(1, keepdim=True)
for epoch in range(8):
    opt.zero_grad()
    loss = nn.functional.mse_loss(net(X), Y)
    loss.backward()  # expect: GS102
    opt.step()
