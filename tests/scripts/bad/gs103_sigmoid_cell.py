import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(0)


class Cell(nn.Module):
    def __init__(self, n_in, n):
        super().__init__()
        self.wx = nn.Parameter(torch.randn(n_in, n) / n_in**0.5)
        self.wh = nn.Parameter(torch.randn(n, n) / n**0.5)
        self.bias = nn.Parameter(torch.zeros(n))

    def forward(self, x, h):
        return torch.sigmoid(x @ self.wx + h @ self.wh + self.bias)  # expect: GS103


cell, readout = Cell(4, 16), nn.Linear(16, 1)
opt = torch.optim.Adam([*cell.parameters(), *readout.parameters()], lr=1e-3)
for _ in range(8):
    frames = torch.randn(20, 10, 4)
    state = torch.zeros(10, 16)
    for frame in frames:
        state = cell(frame, state)
    loss = F.mse_loss(readout(state), frames[0, :, :1])
    opt.zero_grad()
    loss.backward()
    opt.step()
