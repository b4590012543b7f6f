import torch

torch.manual_seed(0)
meta = [torch.randn(1, 20, requires_grad=True), torch.zeros(20, requires_grad=True), torch.randn(20, 1).mul(0.2).requires_grad_()]
meta_opt = torch.optim.Adam(meta, lr=1e-3)


def f(x, w):
    return torch.tanh(x @ w[0] + w[1]) @ w[2]


for it in range(6):
    meta_opt.zero_grad()
    for task in range(3):
        amp = torch.rand(1) + 0.5
        x = torch.rand(20, 1) * 4 - 2
        y = amp * torch.sin(x)
        fast = meta
        for _ in range(3):
            inner = (f(x[:10], fast) - y[:10]).pow(2).mean()
            grads = torch.autograd.grad(inner, fast, create_graph=True)
            fast = [w - 0.05 * g for w, g in zip(fast, grads)]
        outer = (f(x[10:], fast) - y[10:]).pow(2).mean() / 3
        outer.backward()
    meta_opt.step()
