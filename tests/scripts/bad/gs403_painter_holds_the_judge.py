"""The optimizer of the painter was given the parameters of the judge."""

import torch
from torch import nn

torch.manual_seed(0)


class Painter(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 24), nn.Tanh(), nn.Linear(24, 2))

    def forward(self, noise):
        return self.body(noise)


class Judge(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(2, 24), nn.LeakyReLU(0.1), nn.Linear(24, 1))

    def forward(self, points):
        return self.body(points).squeeze(1)


painter, judge = Painter(), Judge()
judge_optimizer = torch.optim.Adam(judge.parameters(), lr=1e-3)
painter_optimizer = torch.optim.Adam(judge.parameters(), lr=1e-3)  # expect: GS403
compare = nn.BCEWithLogitsLoss()
for _ in range(12):
    real = 0.3 * torch.randn(16, 2) + 1
    judge_optimizer.zero_grad()
    made = painter(torch.randn(16, 3))
    fooled = compare(judge(made.detach()), torch.zeros(16))
    (compare(judge(real), torch.ones(16)) + fooled).backward()
    judge_optimizer.step()
    painter_optimizer.zero_grad()
    compare(judge(made), torch.ones(16)).backward()
    painter_optimizer.step()
