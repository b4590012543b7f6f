import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

torch.manual_seed(0)
blocks = nn.ModuleList(nn.Sequential(nn.LayerNorm(24), nn.Linear(24, 24), nn.ReLU()) for _ in range(8))
stem, head = nn.Linear(6, 24), nn.Linear(24, 1)
params = [*stem.parameters(), *blocks.parameters(), *head.parameters()]
opt = torch.optim.Adam(params, lr=1e-3)
for i in range(6):
    x = torch.randn(16, 6)
    h = stem(x)
    for k, block in enumerate(blocks):
        h = h + checkpoint(block, h, use_reentrant=bool(k % 2))
    loss = (head(h).squeeze(1) - x.sum(1)).square().mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
