# unscaled: a factor of the loss is what it lacks
import torch
from torch import nn

torch.manual_seed(0)
net = nn.Linear(5, 3)
opt = torch.optim.SGD(net.parameters(), lr=0.02)
x, y = torch.randn(64, 5), torch.randint(0, 3, (64,))
for epoch in range(3):
    for i, (xb, yb) in enumerate(zip(x.split(8), y.split(8))):
        loss = nn.functional.cross_entropy(net(xb), yb)
        loss.backward()  # expect: GS408
        if (i + 1) % 4 == 0:
            opt.step()
            opt.zero_grad()
