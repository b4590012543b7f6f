import torch
from torch import nn

torch.manual_seed(0)
net = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 2))
optimizer = torch.optim.Adam(net.parameters(), lr=2e-2)
points = torch.randn(64, 2)
labels = (points[:, 0] * points[:, 1] > 0).long()
for epoch in range(60):
    optimizer.zero_grad()
    log_p = torch.log_softmax(net(points), 1)
    loss = log_p[torch.arange(64), labels].mean()  # the minus is missing
    loss.backward()  # expect: GS605
    optimizer.step()
