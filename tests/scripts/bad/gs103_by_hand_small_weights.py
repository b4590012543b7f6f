# a recurrence written out, with weights that are far too small
import torch

torch.manual_seed(0)
n = 10
U = (0.3 * torch.randn(2, n)).requires_grad_()
W = (0.1 * torch.randn(n, n)).requires_grad_()
v = torch.randn(n, 1, requires_grad=True)
lr = 0.01
for epoch in range(5):
    xs = torch.randn(30, 8, 2)
    s = torch.zeros(8, n)
    for t in range(30):
        s = (xs[t] @ U + s @ W).tanh()  # expect: GS103
    err = (s @ v - xs[0, :, :1]).pow(2).mean()
    err.backward()
    with torch.no_grad():
        for p in (U, W, v):
            p -= lr * p.grad
            p.grad.zero_()
