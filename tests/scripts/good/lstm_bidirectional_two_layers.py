import torch
from torch import nn

torch.manual_seed(0)
lstm = nn.LSTM(4, 12, num_layers=2, bidirectional=True)
out = nn.Linear(24, 2)
opt = torch.optim.Adam([*lstm.parameters(), *out.parameters()], lr=1e-3)
for _ in range(4):
    x = torch.randn(30, 5, 4)
    h, _ = lstm(x)
    loss = nn.functional.cross_entropy(out(h.mean(0)), (x[0, :, 0] > 0).long())
    opt.zero_grad()
    loss.backward()
    opt.step()
