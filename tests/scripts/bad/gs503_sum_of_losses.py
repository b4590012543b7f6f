import torch
from torch import nn

torch.manual_seed(0)
model = nn.Linear(5, 1)
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
epoch_loss = 0
for i in range(8):
    x = torch.randn(10, 5)
    epoch_loss = epoch_loss + (model(x) - x[:, :1]).abs().mean()
    optimizer.zero_grad()
    epoch_loss.backward(retain_graph=True)  # expect: GS503
    optimizer.step()
