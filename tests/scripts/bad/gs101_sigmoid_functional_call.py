import torch
from torch.func import functional_call, grad

torch.manual_seed(0)
net = torch.nn.Sequential(*[m for _ in range(9) for m in (torch.nn.Linear(16, 16), torch.nn.Sigmoid())], torch.nn.Linear(16, 1))
params = {k: v.detach().clone() for k, v in net.named_parameters()}


def objective(p, x, y):
    return (functional_call(net, p, (x,)) - y).square().mean()  # expect: GS101


for step in range(8):
    x = torch.randn(32, 16)
    g = grad(objective)(params, x, x[:, :1])
    params = {k: v - 0.1 * g[k] for k, v in params.items()}
