"""Operations in place that autograd allows: on what nothing has saved, and before it is saved."""

import torch
from torch import nn

torch.manual_seed(0)
model = nn.Sequential(nn.Linear(6, 16), nn.ReLU(inplace=True), nn.Linear(16, 4))
scale = torch.ones(4, requires_grad=True)
running = torch.zeros(4)
optimizer = torch.optim.SGD([*model.parameters(), scale], lr=0.05)
for step in range(12):
    x = torch.randn(32, 6)
    x.clamp_(-2, 2)
    out = model(x)
    out += 0.1
    out[:, 0] = out[:, 1] - 0.5
    with torch.no_grad():
        running.mul_(0.9).add_(out.mean(0), alpha=0.1)
    loss = (torch.sigmoid(out) * scale - 0.3).pow(2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        scale.clamp_(0.5, 2.0)
