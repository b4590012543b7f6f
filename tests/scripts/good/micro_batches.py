# gradient accumulation on purpose: 4 micro-batches per optimizer step
import torch
import torch.nn as nn

torch.manual_seed(0)
model = nn.Sequential(nn.Linear(6, 32), nn.GELU(), nn.Linear(32, 1))
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
ACCUM = 4
batches = [(torch.randn(8, 6), torch.randn(8, 1)) for _ in range(42)]
optimizer.zero_grad()
for i, (xb, yb) in enumerate(batches):
    loss = nn.functional.mse_loss(model(xb), yb) / ACCUM
    loss.backward()
    if (i + 1) % ACCUM == 0:
        optimizer.step()
        optimizer.zero_grad()
