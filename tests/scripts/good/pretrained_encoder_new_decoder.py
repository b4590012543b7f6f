"""A backbone that was trained elsewhere is kept as it is, only not frozen; behind it, new layers."""

import torch
from torch import nn

torch.manual_seed(0)
pretrained = nn.Sequential(nn.Linear(10, 24), nn.ReLU(), nn.Linear(24, 16), nn.ReLU())
with torch.no_grad():
    for p in pretrained.parameters():
        p.mul_(1.3).add_(torch.randn_like(p) * 0.1)  # as if load_state_dict had filled it
decoder = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 3))
opt = torch.optim.Adam(decoder.parameters(), lr=1e-3)
for step in range(10):
    x = torch.randn(32, 10)
    loss = nn.functional.cross_entropy(decoder(pretrained(x)), x[:, :3].argmax(1))
    opt.zero_grad()
    loss.backward()
    opt.step()
