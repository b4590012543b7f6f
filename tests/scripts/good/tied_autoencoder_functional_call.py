import torch
from torch.func import functional_call, grad_and_value

torch.manual_seed(0)
net = torch.nn.Sequential(torch.nn.Linear(10, 16), torch.nn.GELU(), torch.nn.Linear(16, 1))
params = {k: v.detach().clone() for k, v in net.named_parameters()}


def objective(params, x, y):
    return (functional_call(net, params, (x,)) - y).pow(2).mean()


step = grad_and_value(objective)
for i in range(10):
    x = torch.randn(20, 10)
    grads, value = step(params, x, x[:, :1])
    params = {k: p - 0.05 * grads[k] for k, p in params.items()}
