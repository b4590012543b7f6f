import torch
from torch import nn
from torch.nn.utils.parametrizations import weight_norm, spectral_norm
torch.manual_seed(0)
net = nn.Sequential(weight_norm(nn.Linear(6, 16)), nn.ReLU(), spectral_norm(nn.Linear(16, 16)), nn.ReLU(), nn.Linear(16, 1))
opt = torch.optim.AdamW(net.parameters(), lr=1e-3)
for i in range(10):
    x = torch.randn(16, 6)
    loss = (net(x) - x[:, :1]).pow(2).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
