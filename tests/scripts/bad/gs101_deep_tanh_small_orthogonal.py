import torch
from torch import nn


def block(n):
    lin = nn.Linear(n, n)
    nn.init.orthogonal_(lin.weight, gain=0.25)
    return nn.Sequential(lin, nn.Tanh())


def train(steps=6):
    net = nn.Sequential(*(block(24) for _ in range(8)), nn.Linear(24, 2))
    opt = torch.optim.SGD(net.parameters(), lr=0.01)
    for _ in range(steps):
        x = torch.randn(16, 24)
        logits = net(x)  # expect: GS101
        loss = nn.functional.cross_entropy(logits, (x[:, 0] > 0).long())
        opt.zero_grad()
        loss.backward()
        opt.step()


torch.manual_seed(0)
train()
