# a linear recurrence without any module
import torch


def scan(f, carry, xs):
    ys = []
    for x in xs:
        carry = f(carry, x)
        ys.append(carry)
    return carry, ys


def cell(h, x):
    return torch.tanh(x @ U + h @ W + b)  # expect: GS103


torch.manual_seed(0)
U = torch.nn.Parameter(torch.randn(4, 16) * 0.3)
W = torch.nn.Parameter(torch.randn(16, 16) * 0.12)
b = torch.nn.Parameter(torch.zeros(16))
V = torch.nn.Parameter(torch.randn(16, 1) * 0.3)
opt = torch.optim.SGD([U, W, b, V], lr=0.01)
for _ in range(5):
    xs = torch.randn(40, 8, 4)
    last, _ = scan(cell, torch.zeros(8, 16), xs)
    loss = (last @ V - xs[0, :, :1]).pow(2).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
