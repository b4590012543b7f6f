import torch
from torch import nn

torch.manual_seed(0)
rnn = nn.RNN(4, 12, bidirectional=True, batch_first=True)
out = nn.Linear(24, 2)
opt = torch.optim.Adam([*rnn.parameters(), *out.parameters()], lr=1e-3)
for _ in range(4):
    x = torch.randn(5, 40, 4)
    states, _ = rnn(x)  # expect: GS103
    # the end of each direction only
    last = torch.cat([states[:, -1, :12], states[:, 0, 12:]], 1)
    loss = nn.functional.cross_entropy(out(last), (x[:, 20, 0] > 0).long())
    opt.zero_grad()
    loss.backward()
    opt.step()
