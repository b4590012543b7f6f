"""A first backward to look at the gradients, a second one to train with: both are summed."""

import torch
from torch import nn

torch.manual_seed(0)
model = nn.Sequential(nn.Linear(10, 20), nn.ReLU(), nn.Linear(20, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
x = torch.randn(64, 10)
y = x.pow(2).sum(1, keepdim=True)
norms = []
for step in range(8):
    optimizer.zero_grad()
    loss = nn.functional.mse_loss(model(x), y)
    loss.backward(retain_graph=True)
    norms.append(sum(p.grad.norm() for p in model.parameters()))
    loss.backward()  # expect: GS410
    optimizer.step()
