import torch
from torch import nn


class Scorer(nn.Module):
    def __init__(self):
        super().__init__()
        self.score = nn.Linear(4, 1)
        self.mix = nn.Linear(5, 2)

    def forward(self, x):
        scores = [self.score(row).item() for row in x]  # expect: GS301
        return self.mix(torch.cat([x, torch.tensor(scores).unsqueeze(1)], 1))


torch.manual_seed(0)
scorer = Scorer()
optimizer = torch.optim.Adam(scorer.parameters(), lr=1e-3)
for step in range(6):
    x = torch.randn(8, 4)
    optimizer.zero_grad()
    nn.functional.cross_entropy(scorer(x), (x[:, 0] > 0).long()).backward()
    optimizer.step()
