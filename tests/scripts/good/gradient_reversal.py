import torch
from torch import nn


class Reverse(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, strength):
        ctx.strength = strength
        return x.view_as(x)

    @staticmethod
    def backward(ctx, grad):
        return -ctx.strength * grad, None


torch.manual_seed(0)
features = nn.Sequential(nn.Linear(5, 32), nn.ReLU())
label, domain = nn.Linear(32, 2), nn.Sequential(nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 2))
opt = torch.optim.Adam([*features.parameters(), *label.parameters(), *domain.parameters()], lr=1e-3)
for step in range(20):
    x = torch.randn(64, 5)
    where = torch.arange(64) % 2
    x = x + where[:, None] * 0.5
    f = features(x)
    loss = nn.functional.cross_entropy(label(f), (x[:, 0] > 0).long())
    loss = loss + nn.functional.cross_entropy(domain(Reverse.apply(f, 1e-3)), where)
    opt.zero_grad()
    loss.backward()
    opt.step()
