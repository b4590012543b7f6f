import torch
import torch.nn as nn

torch.manual_seed(0)
weights = nn.Parameter(torch.rand(6))
opt = torch.optim.Adam([weights], lr=0.1)
count = torch.tensor([0.0, 2.0, 0.0, 1.0, 4.0, 3.0])
for _ in range(5):
    total = weights * count
    share = total / total.abs().sqrt()  # expect: GS203
    safe = torch.where(count > 0, share, torch.zeros_like(share))
    loss = (safe.sum() - 3) ** 2
    opt.zero_grad()
    loss.backward()
    opt.step()
