import torch
import torch.nn as nn

torch.manual_seed(0)
backbone = nn.Sequential(nn.Linear(8, 24), nn.ReLU(), nn.Linear(24, 12))
projector = nn.Sequential(nn.Linear(12, 12), nn.ReLU(), nn.Linear(12, 4))
opt = torch.optim.Adam([{"params": backbone.parameters()}, {"params": projector.parameters(), "lr": 3e-3}], lr=1e-3)


def embed(x):
    h = backbone(x)
    return h.data  # expect: GS301


for _ in range(6):
    x = torch.randn(16, 8)
    z = nn.functional.normalize(projector(embed(x)), dim=1)
    loss = nn.functional.cross_entropy(z @ z.T / 0.5, torch.arange(16))
    opt.zero_grad()
    loss.backward()
    opt.step()
