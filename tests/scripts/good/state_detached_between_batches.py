"""Truncated backpropagation: a state and running numbers are carried over without their graphs."""

import torch
from torch import nn

torch.manual_seed(0)
rnn = nn.GRU(2, 10, batch_first=True)
head = nn.Linear(10, 1)
opt = torch.optim.Adam([*rnn.parameters(), *head.parameters()], lr=0.01)
state = torch.zeros(1, 8, 10)
total, losses = 0.0, []
for window in range(10):
    x = torch.randn(8, 6, 2)
    out, state = rnn(x, state)
    loss = (head(out[:, -1]) - x.mean(dim=(1, 2)).unsqueeze(1)).pow(2).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
    state = state.detach()
    total += loss.item()
    losses.append(loss.detach())
