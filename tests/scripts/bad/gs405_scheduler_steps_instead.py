import torch
from torch import nn

torch.manual_seed(0)
net = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 1))
optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3)
scheduler = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.95)
loss_fn = nn.MSELoss()
for epoch in range(5):
    for _ in range(3):
        x = torch.randn(12, 8)
        y = x.sum(1, keepdim=True)
        optimizer.zero_grad()
        loss = loss_fn(net(x), y)
        loss.backward()  # expect: GS405
    scheduler.step()
