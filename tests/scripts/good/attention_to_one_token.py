import torch
from torch import nn
torch.manual_seed(0)
q, k, v, o, c = nn.Linear(8, 8), nn.Linear(6, 8), nn.Linear(6, 8), nn.Linear(8, 8), nn.Embedding(5, 6)
opt = torch.optim.Adam([p for m in (q, k, v, o, c) for p in m.parameters()], lr=1e-3)
for i in range(10):
    x = torch.randn(4, 7, 8)
    ctx = c(torch.randint(0, 5, (4, 1)))
    att = torch.softmax(q(x) @ k(ctx).transpose(1, 2) / 8 ** 0.5, -1)
    loss = (x + o(att @ v(ctx))).pow(2).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
