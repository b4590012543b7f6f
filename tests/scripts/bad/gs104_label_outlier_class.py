import torch
from torch import nn


class Regressor:
    def __init__(self):
        self.net = nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 1))
        self.opt = torch.optim.SGD(self.net.parameters(), lr=0.02)

    def fit(self, batches):
        for x, y in batches:
            self.opt.zero_grad()
            loss = ((self.net(x) - y) ** 2).mean()
            loss.backward()  # expect: GS104
            self.opt.step()


def batches(n):
    for i in range(n):
        x = torch.randn(32, 3)
        y = x[:, :1].clone()
        if i == 40:
            y[0] = 300.0
        yield x, y


torch.manual_seed(0)
Regressor().fit(batches(60))
