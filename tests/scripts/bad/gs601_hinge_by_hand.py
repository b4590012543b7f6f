import torch
from torch import nn

torch.manual_seed(0)
net = nn.Linear(6, 1)
opt = torch.optim.Adam(net.parameters(), lr=1e-2)
for step in range(8):
    x = torch.randn(16, 6)
    y = x[:, 0].sign()
    loss = torch.relu(1 - net(x) * y).mean()  # expect: GS601
    opt.zero_grad()
    loss.backward()
    opt.step()
