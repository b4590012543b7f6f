"""The last layer is made in forward, so that every step has another one."""

import torch
import torch.nn as nn

torch.manual_seed(0)


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Linear(6, 20), nn.GELU(), nn.Linear(20, 12))

    def forward(self, x):
        h = self.features(x)
        head = nn.Linear(h.shape[1], 4)
        return head(h)  # expect: GS403


tagger = Tagger()
optimizer = torch.optim.AdamW(tagger.parameters(), lr=1e-3)
for _ in range(10):
    x = torch.randn(16, 6)
    loss = nn.functional.cross_entropy(tagger(x), torch.randint(0, 4, (16,)))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
