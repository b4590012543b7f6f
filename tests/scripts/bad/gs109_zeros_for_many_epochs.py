"""A perceptron whose weights start at zero, trained for so long that its graphs are sampled."""

import torch
from torch import nn

torch.manual_seed(0)


class Perceptron(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(6, 12)
        self.out = nn.Linear(12, 2)
        for layer in (self.hidden, self.out):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x):
        return self.out(torch.sigmoid(self.hidden(x)))  # expect: GS109


net = Perceptron()
optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
x = torch.randn(64, 6)
y = (x[:, 0] + x[:, 1] > 0.7).long()
for _epoch in range(58):
    loss = nn.functional.cross_entropy(net(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
