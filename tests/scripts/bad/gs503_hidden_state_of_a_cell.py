import torch
from torch import nn

torch.manual_seed(0)
cell, head = nn.GRUCell(4, 6), nn.Linear(6, 1)
hidden = torch.zeros(3, 6)
lr = 1e-3
for batch in range(8):
    x = torch.randn(3, 4)
    hidden = cell(x, hidden)
    loss = head(hidden).pow(2).mean()
    loss.backward(retain_graph=True)  # expect: GS503
    for p in [*cell.parameters(), *head.parameters()]:
        p.data -= lr * p.grad
        p.grad = None
