import math

import torch
from torch import nn


class Sine(nn.Module):
    def __init__(self, n_in, n_out, first=False, w0=30.0):
        super().__init__()
        self.w0 = w0
        self.linear = nn.Linear(n_in, n_out)
        bound = 1 / n_in if first else math.sqrt(6 / n_in) / w0
        nn.init.uniform_(self.linear.weight, -bound, bound)

    def forward(self, x):
        return torch.sin(self.w0 * self.linear(x))

torch.manual_seed(0)
siren = nn.Sequential(Sine(2, 48, first=True), Sine(48, 48), Sine(48, 48), Sine(48, 48), nn.Linear(48, 1))
xy = torch.rand(200, 2) * 2 - 1
colour = torch.sin(8 * xy[:, :1]) * torch.cos(5 * xy[:, 1:])
optimizer = torch.optim.Adam(siren.parameters(), lr=1e-4)
for it in range(20):
    loss = torch.mean((siren(xy) - colour) ** 2)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
