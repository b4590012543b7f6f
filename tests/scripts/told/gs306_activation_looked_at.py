"""The gradient of a hidden layer is printed, and it is None every time."""

import torch
from torch import nn

torch.manual_seed(0)
first, second = nn.Linear(4, 8), nn.Linear(8, 1)
optimizer = torch.optim.SGD([*first.parameters(), *second.parameters()], lr=0.01)
for _ in range(5):
    x = torch.randn(10, 4)
    hidden = torch.relu(first(x))  # expect: GS306
    loss = (second(hidden) - x.sum(1, keepdim=True)).pow(2).mean()
    optimizer.zero_grad()
    loss.backward()
    print(hidden.grad)
    optimizer.step()
