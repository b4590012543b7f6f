import math

import torch

torch.manual_seed(0)
w1 = torch.randn(6, 20, requires_grad=True)
w2 = torch.randn(20, 1, requires_grad=True)
state = {p: (torch.zeros_like(p), torch.zeros_like(p)) for p in (w1, w2)}
lr, b1, b2 = 1e-2, 0.9, 0.999
for t in range(1, 26):
    x = torch.randn(32, 6)
    loss = ((x @ w1 / math.sqrt(6)).relu() @ w2 / 4 - x[:, :1]).pow(2).mean()
    loss.backward()
    for p, (m, v) in state.items():
        m.mul_(b1).add_(p.grad, alpha=1 - b1)
        v.mul_(b2).addcmul_(p.grad, p.grad, value=1 - b2)
        p.data.addcdiv_(m / (1 - b1 ** t), (v / (1 - b2 ** t)).sqrt() + 1e-8, value=-lr)
        p.grad.zero_()
