"""An evaluation between two epochs switches grad mode off by a call and never on again."""

# raises: RuntimeError

import torch
from torch import nn


def evaluate(net, inputs, targets):
    net.eval()
    torch.set_grad_enabled(False)  # expect: GS302
    error = nn.functional.mse_loss(net(inputs), targets).item()
    net.train()
    return error


torch.manual_seed(0)
net = nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.Dropout(0.1), nn.Linear(16, 1))
optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
held_out = torch.randn(20, 6)
for _ in range(2):
    for _ in range(5):
        inputs = torch.randn(16, 6)
        loss = nn.functional.mse_loss(net(inputs), inputs.sum(1, keepdim=True))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    evaluate(net, held_out, held_out.sum(1, keepdim=True))
