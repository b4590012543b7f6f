import torch
from torch import nn

torch.manual_seed(0)
center, context = nn.Embedding(100, 12, sparse=True), nn.Embedding(100, 12, sparse=True)
opt = torch.optim.SparseAdam([*center.parameters(), *context.parameters()], lr=1e-2)
for step in range(12):
    c, pos, neg = torch.randint(0, 100, (32,)), torch.randint(0, 100, (32,)), torch.randint(0, 100, (32, 5))
    v = center(c)
    good = nn.functional.logsigmoid((v * context(pos)).sum(1))
    bad = nn.functional.logsigmoid(-(context(neg) @ v.unsqueeze(2)).squeeze(2)).sum(1)
    loss = -(good + bad).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
