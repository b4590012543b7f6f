import torch
from torch import nn

torch.manual_seed(0)
x = torch.randn(64, 3)
price = x @ torch.tensor([1.0, -2.0, 0.5]) + 0.1 * torch.randn(64)
model = nn.Sequential(nn.Linear(3, 16), nn.ReLU(), nn.Linear(16, 1))
criterion = nn.MSELoss()
opt = torch.optim.Adam(model.parameters(), lr=1e-2)
for epoch in range(8):
    loss = criterion(model(x), price)  # expect: GS601
    opt.zero_grad()
    loss.backward()
    opt.step()
