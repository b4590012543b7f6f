"""Twelve sigmoid layers: the gradient shrinks in each and hardly reaches the first.

A sigmoid's derivative is at most 1/4, and default initialisation does not make up for it. With
ReLU and He initialisation the gradient would arrive. Finding: GS101.
"""

import torch
from torch import nn


class DeepSigmoid(nn.Module):
    def __init__(self, width=32, depth=12):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(width, width) for _ in range(depth))
        self.head = nn.Linear(width, 1)

    def forward(self, x):
        for layer in self.layers:
            x = torch.sigmoid(layer(x))
        return self.head(x)


torch.manual_seed(0)
net = DeepSigmoid()
optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
inputs = torch.randn(64, 32)
targets = inputs.sum(dim=1, keepdim=True)

for _ in range(20):
    optimizer.zero_grad()
    loss = nn.functional.mse_loss(net(inputs), targets)
    loss.backward()
    optimizer.step()

first, last = net.layers[0].weight.grad.norm(), net.head.weight.grad.norm()
print(f"gradient norms: first layer {first:.1e}, head {last:.1e}")
