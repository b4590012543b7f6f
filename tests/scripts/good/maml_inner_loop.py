import torch

torch.manual_seed(0)
w1 = (torch.randn(1, 24) * 0.5).requires_grad_()
b1 = torch.zeros(24, requires_grad=True)
w2 = (torch.randn(24, 1) * 0.2).requires_grad_()
b2 = torch.zeros(1, requires_grad=True)
meta = [w1, b1, w2, b2]
meta_opt = torch.optim.Adam(meta, lr=1e-3)

def forward(x, ps):
    return torch.tanh(x @ ps[0] + ps[1]) @ ps[2] + ps[3]

for it in range(10):
    meta_opt.zero_grad()
    total = 0.0
    for task in range(3):
        phase = torch.rand(1) * 3
        x = torch.rand(20, 1) * 6 - 3
        y = torch.sin(x + phase)
        fast = meta
        for _ in range(2):
            inner = ((forward(x[:10], fast) - y[:10]) ** 2).mean()
            grads = torch.autograd.grad(inner, fast, create_graph=True)
            fast = [p - 0.05 * g for p, g in zip(fast, grads)]
        total = total + ((forward(x[10:], fast) - y[10:]) ** 2).mean()
    total.backward()
    meta_opt.step()
