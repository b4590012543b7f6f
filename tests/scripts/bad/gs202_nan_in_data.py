import torch
from torch import nn

torch.manual_seed(0)
features = torch.randn(32, 5)
features[7, 2] = float("nan")  # a missing value nobody filled in
price = torch.randn(32, 1)
regressor = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 1))
opt = torch.optim.SGD(regressor.parameters(), lr=0.01)
for epoch in range(3):
    pred = regressor(features)  # expect: GS202
    loss = ((pred - price) ** 2).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
