import copy

import torch
from torch import nn

torch.manual_seed(0)
template = nn.Sequential(nn.Linear(6, 10), nn.ReLU(), nn.Linear(10, 2))
optimizer = torch.optim.AdamW(template.parameters(), lr=1e-3)  # expect: GS404
model = copy.deepcopy(template)
for step in range(8):
    x = torch.randn(12, 6)
    loss = nn.functional.cross_entropy(model(x), (x[:, 0] > 0).long())
    model.zero_grad()
    loss.backward()
    optimizer.step()
