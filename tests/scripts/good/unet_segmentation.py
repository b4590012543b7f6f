import torch
import torch.nn as nn
import torch.nn.functional as F


def double(c_in, c_out):
    return nn.Sequential(nn.Conv2d(c_in, c_out, 3, padding=1), nn.GroupNorm(4, c_out), nn.SiLU(), nn.Conv2d(c_out, c_out, 3, padding=1), nn.GroupNorm(4, c_out), nn.SiLU())


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.d1, self.d2, self.d3 = double(1, 8), double(8, 16), double(16, 32)
        self.u2, self.u1 = double(48, 16), double(24, 8)
        self.out = nn.Conv2d(8, 1, 1)

    def forward(self, x):
        a = self.d1(x)
        b = self.d2(F.max_pool2d(a, 2))
        c = self.d3(F.max_pool2d(b, 2))
        b = self.u2(torch.cat([F.interpolate(c, scale_factor=2), b], 1))
        a = self.u1(torch.cat([F.interpolate(b, scale_factor=2, mode="bilinear"), a], 1))
        return self.out(a)


torch.manual_seed(0)
net = UNet()
img = torch.rand(4, 1, 32, 32)
mask = (img > 0.5).float()
opt = torch.optim.Adam(net.parameters(), lr=1e-3)
for i in range(6):
    logits = net(img)
    prob = torch.sigmoid(logits)
    dice = 1 - (2 * (prob * mask).sum() + 1) / (prob.sum() + mask.sum() + 1)
    loss = F.binary_cross_entropy_with_logits(logits, mask) + dice
    opt.zero_grad()
    loss.backward()
    opt.step()
