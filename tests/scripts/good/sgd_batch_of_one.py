"""One sample at a time: norms jump by orders of magnitude and nothing is wrong."""
import torch
import torch.nn as nn

torch.manual_seed(0)
model = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 1))
opt = torch.optim.SGD(model.parameters(), lr=0.05)
points = torch.randn(60, 2)
side = ((points[:, 0] * points[:, 1]) > 0).float()
for epoch in range(4):
    for i in torch.randperm(60):
        logit = model(points[i])
        loss = nn.functional.binary_cross_entropy_with_logits(logit, side[i : i + 1])
        opt.zero_grad()
        loss.backward()
        opt.step()
