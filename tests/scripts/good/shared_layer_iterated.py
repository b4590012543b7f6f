"""One block applied eight times with a residual, as in a network with tied weights."""
import torch
import torch.nn as nn

torch.manual_seed(0)
block = nn.Sequential(nn.LayerNorm(16), nn.Linear(16, 32), nn.GELU(), nn.Linear(32, 16))
head = nn.Linear(16, 4)
opt = torch.optim.AdamW([*block.parameters(), *head.parameters()], lr=1e-3)
x, y = torch.randn(20, 16), torch.randint(0, 4, (20,))
for i in range(10):
    h = x
    for _ in range(8):
        h = h + block(h)
    loss = nn.functional.cross_entropy(head(h), y)
    opt.zero_grad()
    loss.backward()
    opt.step()
