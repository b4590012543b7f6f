import torch
from torch import nn

torch.manual_seed(0)
lstm = nn.LSTM(4, 16, num_layers=2, batch_first=True, dropout=0.1)
fc = nn.Linear(16, 2)
opt = torch.optim.Adam([*lstm.parameters(), *fc.parameters()], lr=1e-3)
for _ in range(4):
    x = torch.randn(6, 40, 4)
    out, (h, c) = lstm(x)
    loss = nn.functional.cross_entropy(fc(h[-1]), (x[:, -1, 0] > 0).long())
    opt.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(lstm.parameters(), 1.0)
    opt.step()
