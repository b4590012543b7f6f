"""A head that joins later is only watched so far, and a loss weighs another by its size."""

import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(0)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(6, 16), nn.ReLU())
        self.a, self.b, self.c = (nn.Linear(16, 1) for _ in range(3))

    def forward(self, x):
        h = self.trunk(x)
        return self.a(h), self.b(h), self.c(h)


net = Net()
optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
watched, average = [], 1.0
for _ in range(12):
    x = torch.randn(32, 6)
    a, b, c = net(x)
    first, second = F.mse_loss(a, x[:, :1]), F.mse_loss(b, x[:, 1:2])
    third = F.mse_loss(c, x[:, 2:3])
    weight = first.item() / (first.item() + second.item())
    loss = first + weight * second
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    average = 0.9 * average + 0.1 * third.item()
    watched.append((loss.item(), float(third), average))
