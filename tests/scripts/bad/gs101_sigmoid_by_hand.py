# no nn.Module, weights and updates by hand
import torch

torch.manual_seed(0)
Ws = [(torch.randn(20, 20) / 20 ** 0.5).requires_grad_() for _ in range(10)]
bs = [torch.zeros(20, requires_grad=True) for _ in range(10)]
x = torch.randn(64, 20)
t = torch.randn(64, 20)
lr = 0.1
for it in range(5):
    h = x
    for W, b in zip(Ws, bs):
        a = h @ W + b
        h = 1 / (1 + torch.exp(-a))  # expect: GS101
    loss = ((h - t) ** 2).mean()
    loss.backward()
    with torch.no_grad():
        for p in Ws + bs:
            p -= lr * p.grad
            p.grad = None
