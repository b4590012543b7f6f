# gradients are averaged over the labelled samples of a batch; one batch has none
import torch
from torch import nn

torch.manual_seed(0)
model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
for step in range(9):
    x, y = torch.randn(6, 4), torch.randn(6, 1)
    labelled = torch.ones(6, 1) if step != 8 else torch.zeros(6, 1)
    optimizer.zero_grad()
    loss = ((model(x) - y).pow(2) * labelled).sum()
    loss.backward()
    for p in model.parameters():
        p.grad /= labelled.sum()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)  # expect: GS204
    optimizer.step()
