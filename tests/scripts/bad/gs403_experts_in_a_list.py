import torch
from torch import nn


class Mixture(nn.Module):
    def __init__(self, d=6, n=3):
        super().__init__()
        self.gate = nn.Linear(d, n)
        self.experts = [nn.Sequential(nn.Linear(d, 12), nn.ReLU(), nn.Linear(12, d)) for _ in range(n)]
        self.out = nn.Linear(d, 2)

    def forward(self, x):
        w = self.gate(x).softmax(-1)
        y = sum(w[:, i : i + 1] * expert(x) for i, expert in enumerate(self.experts))  # expect: GS403
        return self.out(y)


torch.manual_seed(0)
moe = Mixture()
opt = torch.optim.Adam(moe.parameters(), lr=1e-3)
for _ in range(8):
    x = torch.randn(16, 6)
    loss = nn.functional.cross_entropy(moe(x), (x[:, 0] * x[:, 1] > 0).long())
    opt.zero_grad()
    loss.backward()
    opt.step()
