import torch

torch.manual_seed(0)
n, d, h = 128, 100, 50
X = torch.randn(n, d)
Y = torch.sin(X[:, :1] * 2)
W1 = torch.randn(d, h, requires_grad=True)  # no 1 / sqrt(d)
W2 = (torch.randn(h, 1) / h**0.5).requires_grad_()
lr = 1e-2
for t in range(25):
    a = torch.tanh(X.mm(W1))  # expect: GS107
    pred = a.mm(W2)
    loss = (pred - Y).pow(2).mean()
    loss.backward()
    with torch.no_grad():
        for w in (W1, W2):
            w -= lr * w.grad
            w.grad.zero_()
