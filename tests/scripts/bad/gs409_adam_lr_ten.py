import torch
from torch import nn

torch.manual_seed(0)


class Regressor(nn.Module):
    def __init__(self, width=24):
        super().__init__()
        self.inner = nn.Linear(6, width)
        self.outer = nn.Linear(width, 1)

    def forward(self, x):
        return self.outer(nn.functional.leaky_relu(self.inner(x), 0.1))


model = Regressor()
optimizer = torch.optim.Adam(model.parameters(), lr=10.0)  # expect: GS409
x = torch.randn(128, 6)
y = x.sum(1, keepdim=True) + torch.randn(128, 1)
for epoch in range(40):
    loss = nn.functional.mse_loss(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
