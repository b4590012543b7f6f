import torch
from torch import nn

torch.manual_seed(0)
body = nn.Sequential(nn.Linear(6, 20), nn.ReLU())
head, classifier = nn.Linear(20, 6), nn.Linear(20, 2)
opt = torch.optim.Adam([*body.parameters(), *head.parameters()], lr=1e-3)
for _ in range(6):
    x = torch.randn(16, 6)
    opt.zero_grad()
    (head(body(x + 0.1 * torch.randn_like(x))) - x).pow(2).mean().backward()
    opt.step()
body.requires_grad_(False)
opt2 = torch.optim.Adam(classifier.parameters(), lr=1e-3)
for _ in range(6):
    x = torch.randn(16, 6)
    loss = nn.functional.cross_entropy(classifier(body(x)), (x[:, 0] > 0).long())
    opt2.zero_grad()
    loss.backward()
    opt2.step()
