import torch
from torch import nn

torch.manual_seed(0)
net = nn.Linear(6, 1)
opt = torch.optim.SGD(net.parameters(), lr=1e-4)
smooth = torch.zeros(())
for step in range(10):
    x = torch.randn(8, 6)
    loss = nn.functional.mse_loss(net(x).clone(), x[:, :1])
    smooth = 0.9 * smooth + 0.1 * loss
    opt.zero_grad()
    smooth.backward(retain_graph=True)  # expect: GS503
    opt.step()
