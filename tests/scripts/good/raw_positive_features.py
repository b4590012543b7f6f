# ages, incomes and counts as they come: half of the ReLU units are off, which is how it works
import torch
from torch import nn

torch.manual_seed(0)
age = 20 + 50 * torch.rand(300, 1)
income = 20 + 5 * torch.randn(300, 1).abs()
rooms = torch.randint(1, 8, (300, 1)).float()
X = torch.cat([age, income, rooms], 1)
y = (0.1 * income + 0.5 * rooms + torch.randn(300, 1) * 0.1) / 3
model = nn.Sequential(nn.Linear(3, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))
opt = torch.optim.Adam(model.parameters(), lr=1e-4)
for epoch in range(8):
    for idx in torch.randperm(300).split(60):
        loss = nn.functional.huber_loss(model(X[idx]), y[idx])
        opt.zero_grad()
        loss.backward()
        opt.step()
