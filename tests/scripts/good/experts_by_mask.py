import torch
import torch.nn as nn
import torch.nn.functional as F


class Mixture(nn.Module):
    def __init__(self, experts=8):
        super().__init__()
        self.router = nn.Linear(6, experts)
        self.experts = nn.ModuleList(nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 3)) for _ in range(experts))

    def forward(self, x):
        weight, chosen = F.softmax(self.router(x), dim=-1).max(dim=-1)
        out = torch.zeros(x.size(0), 3)
        for k, expert in enumerate(self.experts):
            out = out + expert(x) * (weight * (chosen == k)).unsqueeze(1)  # most are never asked
        return out


torch.manual_seed(0)
moe = Mixture()
adam = torch.optim.Adam(moe.parameters(), lr=1e-3)
x = torch.randn(4, 6)
y = torch.tensor([0, 1, 2, 0])
for _ in range(12):
    loss = F.cross_entropy(moe(x), y)
    adam.zero_grad()
    loss.backward()
    adam.step()
