"""A recurrence whose state is never detached: retain_graph silences one error and earns another."""

# raises: RuntimeError
import torch
from torch import nn

torch.manual_seed(0)
cell = nn.GRUCell(4, 10)
readout = nn.Linear(10, 4)
optimizer = torch.optim.SGD([*cell.parameters(), *readout.parameters()], lr=0.01)
frames = torch.randn(12, 6, 4)
state = torch.zeros(6, 10)
for now, following in zip(frames[:-1], frames[1:], strict=True):
    state = cell(now, state)  # expect: GS501
    loss = (readout(state) - following).square().mean()
    optimizer.zero_grad()
    loss.backward(retain_graph=True)
    optimizer.step()
