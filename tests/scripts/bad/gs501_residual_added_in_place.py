"""A residual block that adds its input in place to an activation which autograd has saved."""

# raises: RuntimeError

import torch
from torch import nn


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.inner = nn.Linear(width, width)
        self.outer = nn.Linear(width, width)

    def forward(self, x):
        h = torch.tanh(self.inner(x))
        h += x  # expect: GS501
        return self.outer(h)


torch.manual_seed(0)
model = nn.Sequential(nn.Linear(6, 16), Block(16), Block(16), nn.Linear(16, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
x, y = torch.randn(32, 6), torch.randn(32, 1)
for epoch in range(5):
    optimizer.zero_grad()
    loss = nn.functional.mse_loss(model(x), y)
    loss.backward()
    optimizer.step()
