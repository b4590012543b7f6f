import torch
from torch import nn

torch.manual_seed(0)
net = nn.Linear(6, 2)
opt = torch.optim.Adam(net.parameters(), lr=1e-2)
for step in range(8):
    x = torch.randn(16, 6)
    y = x[:, 0]
    mu, log_sigma = net(x).chunk(2, 1)
    nll = log_sigma + 0.5 * ((y - mu) / log_sigma.exp()) ** 2  # expect: GS601
    loss = nll.mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
