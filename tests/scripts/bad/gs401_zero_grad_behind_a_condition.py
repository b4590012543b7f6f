import torch
from torch import nn

torch.manual_seed(0)
model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
optimizer = torch.optim.Adam(model.parameters())
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 10)
best = float("inf")
for epoch in range(3):
    for batch in range(5):
        x = torch.randn(16, 4)
        loss = nn.functional.l1_loss(model(x), x.mean(1, keepdim=True))
        if batch == 0:
            optimizer.zero_grad()
        loss.backward()  # expect: GS401
        optimizer.step()
    scheduler.step()
    best = min(best, loss.item())
