import torch

torch.manual_seed(0)
xs, ys = torch.randn(64, 3), torch.randn(64, 2)
W1 = torch.zeros(3, 16, requires_grad=True)
b1 = torch.zeros(16, requires_grad=True)
W2 = torch.zeros(16, 2, requires_grad=True)
b2 = torch.zeros(2, requires_grad=True)
lr = 0.1
for it in range(15):
    hidden = torch.tanh(xs @ W1 + b1)
    out = hidden @ W2 + b2  # expect: GS105
    loss = torch.nn.functional.mse_loss(out, ys)
    loss.backward()
    with torch.no_grad():
        for p in (W1, b1, W2, b2):
            p.sub_(lr * p.grad)
            p.grad = None
