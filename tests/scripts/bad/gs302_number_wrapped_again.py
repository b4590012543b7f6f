"""The mean of some losses as a number, wrapped so that backward raises nothing."""

import torch

torch.manual_seed(0)
model = torch.nn.Linear(6, 1)
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
data, target = torch.randn(64, 6), torch.randn(64, 1)
for epoch in range(6):
    losses = []
    for xb, yb in zip(data.split(16), target.split(16), strict=True):
        losses.append(torch.nn.functional.mse_loss(model(xb), yb))
    values = [loss.item() for loss in losses]  # expect: GS302
    loss = torch.tensor(values).mean().requires_grad_()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
