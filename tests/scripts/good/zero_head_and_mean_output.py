# a head that starts at zero, outputs that are averaged, and embeddings that start at one number
import torch
from torch import nn

torch.manual_seed(0)
emb = nn.Embedding(30, 12)
nn.init.constant_(emb.weight, 0.1)
mix = nn.Linear(12, 12)
value = nn.Linear(12, 6)
nn.init.zeros_(value.weight)
nn.init.zeros_(value.bias)
opt = torch.optim.Adam([*emb.parameters(), *mix.parameters(), *value.parameters()], lr=1e-2)
for i in range(12):
    tokens = torch.randint(0, 30, (16, 5))
    h = torch.tanh(mix(emb(tokens).mean(1)))
    estimate = value(h).mean(1)
    loss = (estimate - tokens.float().mean(1) / 30).pow(2).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
