import torch
import torch.nn as nn

torch.manual_seed(0)
model = nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.001)
x = torch.randn(40, 3)
y = x.sum(1, keepdim=True)
for epoch in range(30):
    loss = nn.functional.mse_loss(model(x), y)
    loss.backward()  # expect: GS401
    optimizer.step()
