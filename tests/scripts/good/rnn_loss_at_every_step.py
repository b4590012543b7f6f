import torch
import torch.nn as nn

torch.manual_seed(0)
rnn, head = nn.RNN(3, 16), nn.Linear(16, 3)
opt = torch.optim.Adam([*rnn.parameters(), *head.parameters()], lr=3e-3)
for it in range(8):
    seq = torch.randn(60, 8, 3)
    out, _ = rnn(seq)
    loss = (head(out)[:-1] - seq[1:] * 0.5 - seq[:-1]).pow(2).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
