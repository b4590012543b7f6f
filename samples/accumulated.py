"""A training loop without optimizer.zero_grad(): every step also takes all earlier gradients.

It still learns a little, which is why it goes unnoticed. Finding: GS401, an error.
"""

import torch
from torch import nn

torch.manual_seed(0)
net = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 1))
optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
inputs = torch.randn(64, 4)
targets = inputs.square().sum(dim=1, keepdim=True)

for _ in range(30):
    loss = nn.functional.mse_loss(net(inputs), targets)
    loss.backward()
    optimizer.step()  # optimizer.zero_grad() belongs before the backward

print(f"loss {loss.item():.3f}")
