import torch
from torch import nn

torch.manual_seed(0)
cell, out = nn.GRUCell(3, 16), nn.Linear(16, 3)
opt = torch.optim.Adam([*cell.parameters(), *out.parameters()], lr=2e-3)
for _ in range(4):
    x = torch.randn(20, 8, 3).cumsum(0) * 0.1
    h, loss = torch.zeros(8, 16), 0.0
    for t in range(19):
        h = cell(x[t], h)
        loss = loss + nn.functional.mse_loss(out(h), x[t + 1])
    opt.zero_grad()
    (loss / 19).backward()
    opt.step()
