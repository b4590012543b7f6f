import torch
from torch import nn


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.enc = nn.Conv2d(1, 8, 3, padding=1)
        self.down = nn.Conv2d(8, 16, 3, stride=2, padding=1)
        self.up = nn.ConvTranspose2d(16, 8, 2, stride=2)
        self.out = nn.Conv2d(16, 1, 1)

    def forward(self, x):
        skip = torch.relu(self.enc(x))
        deep = torch.relu(self.down(skip))
        both = torch.cat([self.up(deep), skip.detach()], dim=1)  # expect: GS305
        return self.out(both)


torch.manual_seed(0)
net = UNet()
opt = torch.optim.SGD(net.parameters(), lr=0.05)
for _ in range(5):
    x = torch.randn(2, 1, 8, 8)
    loss = (net(x) - x.abs()).pow(2).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
