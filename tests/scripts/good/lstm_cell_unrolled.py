import torch
from torch import nn

torch.manual_seed(0)
cell = nn.LSTMCell(3, 16)
readout = nn.Linear(16, 1)
learnable_h0 = nn.Parameter(torch.zeros(1, 16))
series = torch.randn(10, 40, 3)
goal = series[:, -5:, :].sum((1, 2)).unsqueeze(1)
opt = torch.optim.Adam([*cell.parameters(), *readout.parameters(), learnable_h0], lr=5e-3)
for it in range(8):
    h = learnable_h0.expand(10, 16)
    c = torch.zeros(10, 16)
    for t in range(40):
        h, c = cell(series[:, t], (h, c))
    loss = (readout(h) - goal).abs().mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
