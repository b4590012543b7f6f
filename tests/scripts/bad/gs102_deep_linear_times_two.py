import torch
from torch import nn


class Scaled(nn.Linear):
    def forward(self, x):
        return 3.0 * super().forward(x)  # expect: GS102


torch.manual_seed(0)
net = nn.Sequential(*[Scaled(32, 32) for _ in range(12)], nn.Linear(32, 2))
for layer in net[:-1]:
    nn.init.orthogonal_(layer.weight)
opt = torch.optim.Adam(net.parameters(), lr=1e-7)
for _ in range(5):
    x = torch.randn(8, 32)
    loss = nn.functional.cross_entropy(net(x), (x[:, 0] > 0).long())
    opt.zero_grad()
    loss.backward()
    opt.step()
