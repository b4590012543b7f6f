import torch
from torch import nn

torch.manual_seed(0)


def elu(x):
    negative = torch.exp(x) - 1  # expect: GS203
    return torch.where(x > 0, x, negative)


first, second = nn.Linear(5, 16), nn.Linear(16, 1)
opt = torch.optim.SGD([*first.parameters(), *second.parameters()], lr=1e-3)
for i in range(6):
    x = torch.randn(32, 5) * 300
    loss = nn.functional.smooth_l1_loss(second(elu(first(x))), torch.randn(32, 1))
    opt.zero_grad()
    loss.backward()
    opt.step()
