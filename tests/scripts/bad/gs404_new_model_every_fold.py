# three folds, a fresh network for each, and one optimizer for all of them
import torch
from torch import nn


def build():
    return nn.Sequential(nn.Linear(4, 10), nn.ReLU(), nn.Linear(10, 2))


torch.manual_seed(0)
X = torch.randn(60, 4)
t = (X[:, 0] > X[:, 1]).long()
model = build()
optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-3)  # expect: GS404
loss_fn = nn.CrossEntropyLoss()
for fold in range(3):
    model = build() if fold else model
    mask = torch.arange(60) % 3 != fold
    for epoch in range(8):
        optimizer.zero_grad()
        loss = loss_fn(model(X[mask]), t[mask])
        loss.backward()
        optimizer.step()
