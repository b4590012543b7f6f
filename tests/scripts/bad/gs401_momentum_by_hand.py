import torch

torch.manual_seed(0)
A = torch.randn(60, 6)
y = A @ torch.randn(6)
w = torch.zeros(6, requires_grad=True)
v = torch.zeros(6)
lr = 0.002
for t in range(30):
    loss = (A @ w - y).pow(2).mean()
    loss.backward()  # expect: GS401
    with torch.no_grad():
        v.mul_(0.5).add_(w.grad, alpha=-lr)
        w.add_(v)
