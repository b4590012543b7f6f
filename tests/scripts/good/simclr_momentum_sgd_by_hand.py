import torch


def net(params, x):
    for w, b in params[:-1]:
        x = torch.relu(x @ w + b)
    w, b = params[-1]
    return torch.nn.functional.normalize(x @ w + b, dim=1)


def nt_xent(a, b, t=0.5):
    z = torch.cat([a, b])
    sim = z @ z.T / t
    sim.fill_diagonal_(float("-inf"))
    n = len(a)
    target = torch.cat([torch.arange(n, 2 * n), torch.arange(n)])
    return torch.nn.functional.cross_entropy(sim, target)


torch.manual_seed(0)
sizes = [12, 32, 32, 8]
params = []
for i, o in zip(sizes, sizes[1:]):
    w = (torch.randn(i, o) * (2 / i) ** 0.5).requires_grad_()
    b = torch.zeros(o, requires_grad=True)
    params.append((w, b))
flat = [p for pair in params for p in pair]
velocity = [torch.zeros_like(p) for p in flat]
lr = 0.05
for step in range(15):
    x = torch.randn(16, 12)
    loss = nt_xent(net(params, x + 0.1 * torch.randn_like(x)), net(params, x + 0.1 * torch.randn_like(x)))
    grads = torch.autograd.grad(loss, flat)
    with torch.no_grad():
        for p, v, g in zip(flat, velocity, grads):
            v.mul_(0.9).add_(g)
            p.sub_(lr * v)
