# the norm is logged after the step, and the schedule is wound forward as after a restart
import torch
from torch import nn

torch.manual_seed(0)
net = nn.Sequential(nn.Linear(4, 8), nn.SiLU(), nn.Linear(8, 1))
optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 40)
for _ in range(5):
    scheduler.step()
logged = []
for _ in range(12):
    x = torch.randn(16, 4)
    optimizer.zero_grad()
    nn.functional.mse_loss(net(x), x.mean(1, keepdim=True)).backward()
    optimizer.step()
    scheduler.step()
    logged.append(nn.utils.clip_grad_norm_(net.parameters(), float("inf")))
