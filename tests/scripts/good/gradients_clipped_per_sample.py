"""Every sample's gradient is clipped and kept, cleared, and their mean is what the step takes."""

import torch
from torch import nn

torch.manual_seed(0)
model = nn.Sequential(nn.Linear(6, 12), nn.Tanh(), nn.Linear(12, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(10):
    x = torch.randn(4, 6)
    y = x[:, :1]
    kept = [torch.zeros_like(p) for p in model.parameters()]
    for sample, target in zip(x, y):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(sample), target)
        loss.backward()
        norm = nn.utils.get_total_norm([p.grad for p in model.parameters()])
        for total, p in zip(kept, model.parameters()):
            total += p.grad / (1 + norm)
    for total, p in zip(kept, model.parameters()):
        p.grad.copy_(total / len(x))
    optimizer.step()
