# logistic regression by hand
import torch

torch.manual_seed(0)
X = torch.randn(100, 3)
y = (X @ torch.tensor([1.0, -1.0, 0.5]) + 0.3 * torch.randn(100) > 0).float()
w = torch.zeros(3, requires_grad=True)
b = torch.zeros(1, requires_grad=True)
lr = 0.5
for epoch in range(80):
    z = X @ w + b
    loss = torch.nn.functional.binary_cross_entropy_with_logits(z, y)
    loss.backward()  # expect: GS605
    with torch.no_grad():
        w += lr * w.grad
        b += lr * b.grad
    w.grad.zero_()
    b.grad.zero_()
