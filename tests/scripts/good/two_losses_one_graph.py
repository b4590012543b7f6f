import torch
from torch import nn

torch.manual_seed(0)
trunk = nn.Sequential(nn.Linear(8, 24), nn.ReLU())
head_a, head_b = nn.Linear(24, 1), nn.Linear(24, 3)
opt = torch.optim.Adam([*trunk.parameters(), *head_a.parameters(), *head_b.parameters()], lr=1e-3)
for _ in range(20):
    x = torch.randn(16, 8)
    z = trunk(x)
    regression = (head_a(z) - x[:, :1]).pow(2).mean()
    classes = nn.functional.cross_entropy(head_b(z), x[:, :3].argmax(1))
    opt.zero_grad()
    regression.backward(retain_graph=True)
    classes.backward()
    opt.step()
