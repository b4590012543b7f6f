import torch
from torch import nn

torch.manual_seed(0)
stem = nn.Linear(6, 16)
blocks = nn.ModuleList(nn.Sequential(nn.LayerNorm(16), nn.Linear(16, 16), nn.GELU()) for _ in range(4))
head = nn.Linear(16, 2)
opt = torch.optim.Adam([*stem.parameters(), *blocks.parameters(), *head.parameters()], lr=1e-3)
for _ in range(6):
    x = torch.randn(12, 6)
    h = stem(x)
    for block in blocks:
        h = h.detach() + block(h)  # expect: GS305
    loss = nn.functional.cross_entropy(head(h), (x[:, 0] > 0).long())
    opt.zero_grad()
    loss.backward()
    opt.step()
