"""A recurrence that writes each state into one buffer from which the next state is computed."""

# raises: RuntimeError

import torch

torch.manual_seed(0)
steps, width = 6, 8
weight = torch.nn.Parameter(torch.randn(width, width) * 0.3)
readout = torch.nn.Parameter(torch.randn(width) * 0.3)
opt = torch.optim.SGD([weight, readout], lr=0.05)
inputs = torch.randn(steps, width)

for epoch in range(3):
    states = torch.zeros(steps + 1, width)
    for t in range(steps):
        states[t + 1] = torch.tanh(states[t] @ weight + inputs[t])  # expect: GS501
    loss = ((states @ readout)[1:] - 1).square().sum()
    opt.zero_grad()
    loss.backward()
    opt.step()
