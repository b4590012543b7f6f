import torch
from torch import nn

torch.manual_seed(0)


def train(net, batches, opt):
    for xb, yb in batches:
        opt.zero_grad()
        nn.functional.cross_entropy(net(xb), yb).backward()
        nn.utils.clip_grad_value_(net.parameters(), 1e-12)  # expect: GS406
        opt.step()


net = nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 10))
batches = [(torch.randn(16, 8, 8), torch.randint(0, 10, (16,))) for _ in range(12)]
train(net, batches, torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9))
