# four micro-batches per update; what is left at the end of an epoch is thrown away
import torch
from torch import nn

torch.manual_seed(0)
model = nn.Sequential(nn.Linear(5, 10), nn.ReLU(), nn.Linear(10, 2))
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
batches = [(torch.randn(8, 5), torch.randint(0, 2, (8,))) for _ in range(6)]
for epoch in range(5):
    model.zero_grad()
    for i, (x, y) in enumerate(batches, 1):
        loss = nn.functional.cross_entropy(model(x), y) / 4
        loss.backward()
        if i % 4 == 0:
            optimizer.step()
            optimizer.zero_grad()
