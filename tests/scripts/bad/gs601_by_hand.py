import torch

torch.manual_seed(0)
hours = torch.linspace(0, 10, 40).reshape(-1, 1)
score = 5 * hours.squeeze(1) + torch.randn(40)
w = torch.zeros(1, requires_grad=True)
b = torch.zeros(1, requires_grad=True)
lr = 1e-3
for i in range(30):
    y_hat = w * hours + b
    error = score - y_hat  # expect: GS601
    loss = (error**2).mean() + 1e-3 * (w**2).sum()
    loss.backward()
    with torch.no_grad():
        w -= lr * w.grad
        b -= lr * b.grad
        w.grad.zero_()
        b.grad.zero_()
