import torch
from torch import nn

torch.manual_seed(0)
stages = nn.ModuleList(nn.Sequential(nn.Linear(8, 8), nn.ReLU()) for _ in range(3))
heads = nn.ModuleList(nn.Linear(8, 2) for _ in range(3))
for depth in range(3):  # greedy layer by layer
    opt = torch.optim.Adam([*stages[depth].parameters(), *heads[depth].parameters()], lr=1e-3)
    for _ in range(5):
        x = torch.randn(16, 8)
        h = x
        with torch.no_grad():
            for stage in stages[:depth]:
                h = stage(h)
        loss = nn.functional.cross_entropy(heads[depth](stages[depth](h)), (x[:, 0] > 0).long())
        opt.zero_grad()
        loss.backward()
        opt.step()
