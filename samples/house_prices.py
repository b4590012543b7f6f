"""House prices by living area, unscaled: a learning rate of 1e-7 is small and still enough.

The areas are in the thousands, so the weight's gradient is thousands of times the bias'. The
weight settles at about 0.16 (thousand dollars a square foot); the bias hardly moves.
"""

import torch
from torch import nn

area = torch.tensor([850, 900, 1200, 1500, 1700, 1850, 2100, 2200, 2300, 2400.0]).reshape(-1, 1)
price = torch.tensor([150, 160, 200, 240, 280, 300, 340, 360, 380, 400.0]).reshape(-1, 1)

torch.manual_seed(0)
model = nn.Linear(1, 1)
criterion = nn.MSELoss()
optimizer = torch.optim.SGD(model.parameters(), lr=1e-7)

for epoch in range(1000):
    outputs = model(area)
    loss = criterion(outputs, price)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if (epoch + 1) % 200 == 0:
        print(f"epoch {epoch + 1:4}: loss {loss.item():.2f}")

print(f"2000 square feet: {model(torch.tensor([[2000.0]])).item():.0f} thousand dollars")  # 329
