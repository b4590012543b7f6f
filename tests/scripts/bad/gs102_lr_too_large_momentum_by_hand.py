import torch

torch.manual_seed(0)
X = torch.randn(50, 8) * 10
t = X.sum(1)
w = torch.zeros(8, requires_grad=True)
velocity = torch.zeros(8)
lr = 0.02
for epoch in range(40):
    loss = ((X @ w - t) ** 2).mean()
    loss.backward()  # expect: GS102
    with torch.no_grad():
        velocity = 0.9 * velocity + w.grad
        w -= lr * velocity
        w.grad = None
