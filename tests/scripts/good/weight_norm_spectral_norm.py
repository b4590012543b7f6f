import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

torch.manual_seed(0)
net = nn.Sequential(
    weight_norm(nn.Linear(10, 24)), nn.LeakyReLU(0.2), spectral_norm(nn.Linear(24, 24)), nn.LeakyReLU(0.2),
    nn.Linear(24, 1),
)
opt = torch.optim.NAdam(net.parameters(), lr=2e-3)
for _ in range(12):
    x = torch.randn(32, 10)
    opt.zero_grad()
    torch.nn.functional.smooth_l1_loss(net(x), x.sum(1, keepdim=True)).backward()
    opt.step()
