"""Numbers for the log, masks, targets and an accuracy: the graph is cut, and rightly so."""

import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(0)
model = nn.Sequential(nn.Linear(5, 24), nn.Tanh(), nn.Linear(24, 3))
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
history, best = [], float("inf")
x = torch.randn(90, 5)
y = x[:, :3].argmax(1)
for epoch in range(12):
    scores = model(x)
    confident = scores.detach().softmax(1).max(1).values > 0.4
    weights = torch.where(confident, 1.0, 0.5)
    loss = (F.cross_entropy(scores, y, reduction="none") * weights).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    accuracy = (scores.argmax(dim=1) == y).float().mean().item()
    history.append((float(loss), accuracy, scores.data.numpy().mean(), scores.tolist()[0]))
    if loss < best:
        best = loss.item()
    with torch.no_grad():
        held_out = F.cross_entropy(model(x), y)
