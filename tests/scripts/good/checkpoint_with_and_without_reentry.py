"""Both checkpoints as they are meant to be, and one in evaluation, where nothing is to learn."""

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

torch.manual_seed(0)
embed = nn.Embedding(20, 8)
first = nn.Sequential(nn.Linear(8, 8), nn.Tanh())
second = nn.Sequential(nn.Linear(8, 8), nn.Tanh())
head = nn.Linear(8, 2)
model = nn.ModuleList([embed, first, second, head])
opt = torch.optim.Adam(model.parameters(), lr=0.01)


def forward(tokens):
    h = checkpoint(first, embed(tokens).mean(1), use_reentrant=True)
    return head(checkpoint(second, h, use_reentrant=False))


for step in range(6):
    tokens = torch.randint(0, 20, (16, 5))
    loss = nn.functional.cross_entropy(forward(tokens), (tokens[:, 0] > 9).long())
    opt.zero_grad()
    loss.backward()
    opt.step()
    with torch.no_grad():
        forward(tokens)
