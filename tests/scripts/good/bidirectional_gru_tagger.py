import torch
from torch import nn

torch.manual_seed(0)
emb, gru, out = nn.Embedding(30, 8), nn.GRU(8, 12, bidirectional=True), nn.Linear(24, 4)
opt = torch.optim.Adam([p for m in (emb, gru, out) for p in m.parameters()], lr=1e-3)
for _ in range(4):
    ids = torch.randint(0, 30, (25, 6))
    scores = out(gru(emb(ids))[0])
    loss = nn.functional.cross_entropy(scores.flatten(0, 1), (ids % 4).flatten())
    opt.zero_grad()
    loss.backward()
    opt.step()
