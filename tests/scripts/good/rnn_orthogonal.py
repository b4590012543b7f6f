import torch
from torch import nn

torch.manual_seed(0)
cell = nn.RNNCell(2, 32, nonlinearity="relu")
nn.init.eye_(cell.weight_hh)  # the identity, as in Le, Jaitly and Hinton (2015)
nn.init.zeros_(cell.bias_hh)
nn.init.normal_(cell.weight_ih, std=0.05)
out = nn.Linear(32, 1)
adam = torch.optim.Adam([*cell.parameters(), *out.parameters()], lr=1e-3)
for step in range(8):
    values, marks = torch.rand(40, 16, 1), torch.zeros(40, 16, 1)
    marks[3], marks[30] = 1.0, 1.0
    h = torch.zeros(16, 32)
    for t in range(40):
        h = cell(torch.cat([values[t], marks[t]], 1), h)
    loss = nn.functional.mse_loss(out(h), (values * marks).sum(0))
    adam.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(cell.parameters(), 1.0)
    adam.step()
