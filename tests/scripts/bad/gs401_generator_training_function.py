import torch
from torch import nn


def stream(n):
    g = torch.Generator().manual_seed(1)
    for _ in range(n):
        x = torch.randn(8, 5, generator=g)
        yield x, (x[:, 0] > 0).long()


def train(net, data, optimizer, criterion):
    optimizer.zero_grad()
    for x, y in data:
        loss = criterion(net(x), y)
        loss.backward()  # expect: GS401
        optimizer.step()
    return loss


torch.manual_seed(0)
net = nn.Linear(5, 2)
train(net, stream(12), torch.optim.RMSprop(net.parameters(), lr=1e-3), nn.CrossEntropyLoss())
