import torch
import torch.nn as nn


class Encoder(nn.Module):
    """As pretrained models are: with a pooler that this task does not need."""

    def __init__(self):
        super().__init__()
        self.emb = nn.Embedding(30, 16)
        self.layer = nn.Linear(16, 16)
        self.pooler = nn.Linear(16, 16)

    def forward(self, ids):
        h = torch.relu(self.layer(self.emb(ids)))
        return h, torch.tanh(self.pooler(h[:, 0]))


torch.manual_seed(0)
enc, tagger = Encoder(), nn.Linear(16, 5)
opt = torch.optim.AdamW([*enc.parameters(), *tagger.parameters()], lr=1e-3)
ids, tags = torch.randint(0, 30, (8, 7)), torch.randint(0, 5, (8, 7))
for step in range(10):
    hidden, _ = enc(ids)
    loss = nn.functional.cross_entropy(tagger(hidden).flatten(0, 1), tags.flatten())
    opt.zero_grad()
    loss.backward()
    opt.step()
enc.eval()
hidden, pooled = enc(ids)
