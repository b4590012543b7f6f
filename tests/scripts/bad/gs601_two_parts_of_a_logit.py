import torch
from torch import nn

torch.manual_seed(0)
linear, pair = nn.Linear(6, 1), nn.Linear(6, 4)
opt = torch.optim.Adam([*linear.parameters(), *pair.parameters()], lr=1e-2)
for step in range(8):
    x = torch.randn(16, 6)
    y = (x[:, 0] > 0).float()
    logit = linear(x) + pair(x).pow(2).sum(1)  # expect: GS601
    loss = nn.functional.softplus(-logit * (2 * y - 1)).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
