import torch
from torch import nn


class FeatureLoss(nn.Module):
    def __init__(self):
        super().__init__()
        self.slices = [nn.Sequential(nn.Conv2d(1 if i == 0 else 6, 6, 3, padding=1), nn.ReLU()) for i in range(3)]

    def forward(self, a, b):
        loss = 0
        for part in self.slices:
            a, b = part(a), part(b)
            loss = loss + nn.functional.l1_loss(a, b.detach())
        return loss


torch.manual_seed(0)
net, features = nn.Conv2d(1, 1, 5, padding=2), FeatureLoss()
opt = torch.optim.Adam(net.parameters(), lr=1e-3)
for _ in range(6):
    x = torch.randn(2, 1, 8, 8)
    loss = features(net(x), x)
    opt.zero_grad()
    loss.backward()
    opt.step()
