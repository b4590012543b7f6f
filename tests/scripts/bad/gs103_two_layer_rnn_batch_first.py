import torch
from torch import nn

torch.manual_seed(0)
rnn = nn.RNN(5, 20, num_layers=2, batch_first=True)
fc = nn.Linear(20, 1)
optim = torch.optim.Adam(list(rnn.parameters()) + list(fc.parameters()), lr=1e-3)
for epoch in range(4):
    x = torch.randn(6, 45, 5)
    out, _ = rnn(x)  # expect: GS103
    loss = nn.functional.mse_loss(fc(out[:, -1]), x[:, 0, :1])
    optim.zero_grad()
    loss.backward()
    optim.step()
