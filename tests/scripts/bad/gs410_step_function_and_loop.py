"""A helper that runs backward, called by a loop that runs it as well."""

import torch

torch.manual_seed(0)
a = torch.randn(5, requires_grad=True)
b = torch.randn(1, requires_grad=True)
adam = torch.optim.Adam([a, b], lr=0.02)


def objective(inputs, wanted):
    cost = (torch.tanh(inputs @ a + b) - wanted).abs().sum()
    cost.backward(retain_graph=True)
    return cost


for i in range(10):
    inputs = torch.randn(20, 5)
    cost = objective(inputs, torch.sign(inputs[:, 0]))
    cost.backward()  # expect: GS410
    adam.step()
    adam.zero_grad(set_to_none=False)
