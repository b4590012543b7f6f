import torch
from torch import nn

torch.manual_seed(0)
words = nn.Embedding(5000, 8, sparse=True)
context = nn.Embedding(5000, 8, sparse=True)
opt = torch.optim.SparseAdam([*words.parameters(), *context.parameters()], lr=1e-2)
for step in range(20):
    centre, around, noise = torch.randint(0, 200, (3, 32))
    good = (words(centre) * context(around)).sum(1)
    bad = (words(centre) * context(noise)).sum(1)
    loss = -(nn.functional.logsigmoid(good) + nn.functional.logsigmoid(-bad)).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
