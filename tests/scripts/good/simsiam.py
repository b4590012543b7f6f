import torch
import torch.nn as nn
import torch.nn.functional as F


class SimSiam(nn.Module):
    def __init__(self):
        super().__init__()
        self.f = nn.Sequential(nn.Linear(8, 32), nn.BatchNorm1d(32), nn.ReLU(inplace=True), nn.Linear(32, 16))
        self.h = nn.Sequential(nn.Linear(16, 8), nn.ReLU(inplace=True), nn.Linear(8, 16))

    def forward(self, a, b):
        z1, z2 = self.f(a), self.f(b)
        p1, p2 = self.h(z1), self.h(z2)
        return p1, p2, z1.detach(), z2.detach()


def D(p, z):
    return -F.cosine_similarity(p, z, dim=1).mean()


torch.manual_seed(0)
model = SimSiam()
opt = torch.optim.SGD(model.parameters(), lr=0.03, weight_decay=1e-4)
for _ in range(10):
    x = torch.randn(32, 8)
    p1, p2, z1, z2 = model(x + 0.1 * torch.randn_like(x), x + 0.1 * torch.randn_like(x))
    loss = D(p1, z2) / 2 + D(p2, z1) / 2
    opt.zero_grad()
    loss.backward()
    opt.step()
