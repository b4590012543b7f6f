"""A copy is adapted by hand and moves the weights it came from, which an optimizer holds."""
# unscaled: its updates by hand have a step width of their own

import copy

import torch
from torch import nn

torch.manual_seed(0)
meta = nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Linear(16, 1))
fast = copy.deepcopy(meta)
optimizer = torch.optim.Adam(meta.parameters(), lr=1e-2)
for _ in range(8):
    fast.load_state_dict(meta.state_dict())
    phase = torch.rand(1) * 3
    for _ in range(4):
        x = torch.rand(16, 1) * 4 - 2
        loss = nn.functional.mse_loss(fast(x), torch.sin(x + phase))
        fast.zero_grad()
        loss.backward()
        steps = [0.05 * p.grad for p in fast.parameters()]
        with torch.no_grad():
            for p, step in zip(fast.parameters(), steps):
                p.sub_(step)
    for p, q in zip(meta.parameters(), fast.parameters()):
        p.grad = p.detach() - q.detach()
    optimizer.step()
