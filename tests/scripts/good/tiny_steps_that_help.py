# fine-tuning with a very small rate after a warm-up, and a loss that falls slowly
import torch
from torch import nn

torch.manual_seed(0)
net = nn.Sequential(nn.Linear(6, 12), nn.GELU(), nn.Linear(12, 1))
optimizer = torch.optim.AdamW(net.parameters(), lr=1e-5)
warmup = torch.optim.lr_scheduler.LinearLR(optimizer, 1e-3, 1.0, 15)
x = torch.randn(64, 6)
y = x.sum(1, keepdim=True)
for step in range(30):
    optimizer.zero_grad()
    loss = nn.functional.mse_loss(net(x), y)
    loss.backward()
    optimizer.step()
    warmup.step()
