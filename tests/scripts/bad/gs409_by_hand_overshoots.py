# gradient descent by hand; the gradient's sign alone, with a step that is far too long
import torch

torch.manual_seed(0)
x = torch.linspace(-1, 1, 50).unsqueeze(1)
y = 0.7 * x - 0.2
w = torch.randn(1, 1).mul(0.1).requires_grad_()
b = torch.zeros(1, requires_grad=True)
for it in range(30):
    loss = ((x @ w + b - y) ** 2).mean()
    loss.backward()
    for p in (w, b):
        p.data -= 2.0 * p.grad.sign()  # expect: GS409
        p.grad = None
