import torch
from torch import nn

torch.manual_seed(0)
rnn, head = nn.RNN(3, 16, nonlinearity="relu"), nn.Linear(16, 3)
for w in (rnn.weight_hh_l0,):
    nn.init.eye_(w)
opt = torch.optim.Adam([*rnn.parameters(), *head.parameters()], lr=1e-3)
for _ in range(5):
    x = torch.randn(30, 4, 3)
    pred = head(rnn(x[:-1])[0])
    loss = nn.functional.mse_loss(pred, x[1:])
    opt.zero_grad()
    loss.backward()
    opt.step()
