"""A line through 100 noisy points of y = 2 * x + 3, made with numpy: W comes near 2, b near 3."""

import numpy as np
import torch
from torch import nn

rng = np.random.default_rng(42)
x = rng.random((100, 1))
y = 2 * x + 3 + 0.1 * rng.standard_normal((100, 1))
x_tensor = torch.from_numpy(x).float()
y_tensor = torch.from_numpy(y).float()

torch.manual_seed(0)
model = nn.Linear(in_features=1, out_features=1)
criterion = nn.MSELoss()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

epochs = 1000
for epoch in range(epochs):
    y_pred = model(x_tensor)
    loss = criterion(y_pred, y_tensor)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if (epoch + 1) % 200 == 0:
        print(f"epoch {epoch + 1:4}: loss {loss.item():.4f}")

print("W =", model.weight.item())  # about 2
print("b =", model.bias.item())  # about 3
