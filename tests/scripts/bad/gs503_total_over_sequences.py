import torch
from torch import nn

torch.manual_seed(0)
w = nn.Parameter(torch.randn(4, 4) * 0.1)
opt = torch.optim.SGD([w], lr=1e-6)
total = 0
for batch in range(8):
    h = torch.randn(3, 4)
    for t in range(5):
        a = h + w.sum(0)
        h = torch.tanh(a) + 0.1
    total += h.pow(2).mean()
    opt.zero_grad()
    total.backward(retain_graph=True)  # expect: GS503
    opt.step()
