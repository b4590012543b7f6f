# one batch in five is broken; its gradients are clipped, but the step is left out
import torch
from torch import nn

torch.manual_seed(0)
model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
for step in range(15):
    x, y = torch.randn(6, 4), torch.randn(6, 1)
    count = 0.0 if step % 5 == 4 else 6.0
    optimizer.zero_grad()
    loss = (model(x) - y).pow(2).sum()
    loss.backward()
    for p in model.parameters():
        p.grad *= 6.0
        p.grad /= torch.tensor(count)
    norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    if torch.isfinite(norm):
        optimizer.step()
