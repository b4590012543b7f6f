import torch
from torch import nn


def init(m):
    if isinstance(m, nn.Conv2d):
        nn.init.normal_(m.weight, 0, 0.8)


torch.manual_seed(0)
net = nn.Sequential(*[l for i in range(8) for l in (nn.Conv2d(3 if i == 0 else 8, 8, 3, padding=1), nn.ReLU())], nn.Flatten(), nn.Linear(8 * 36, 5))
net.apply(init)
optimizer = torch.optim.SGD(net.parameters(), lr=1e-9)
for i in range(5):
    x, y = torch.randn(4, 3, 6, 6), torch.randint(0, 5, (4,))
    optimizer.zero_grad()
    out = net(x)  # expect: GS102
    nn.CrossEntropyLoss()(out, y).backward()
    optimizer.step()
