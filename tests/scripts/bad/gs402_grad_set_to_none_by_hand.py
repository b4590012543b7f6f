import torch

torch.manual_seed(0)
w = torch.randn(5, 1, requires_grad=True)
b = torch.zeros(1, requires_grad=True)
opt = torch.optim.SGD([w, b], lr=0.05)
X = torch.randn(40, 5)
Y = X @ torch.tensor([[1.0], [2.0], [-1.0], [0.5], [3.0]]) + 0.3
for it in range(20):
    err = X @ w + b - Y
    loss = (err**2).mean()
    loss.backward()
    for p in (w, b):
        p.grad = None
    opt.step()  # expect: GS402
