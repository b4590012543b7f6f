import torch
import torch.nn as nn

torch.manual_seed(0)
net = nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 1))
opt = torch.optim.Adam(net.parameters(), lr=1e-2)
for step in range(50):
    batch = torch.randn(20, 3)
    out = net(batch).squeeze(1)
    scale = batch[:, 0].clone()
    if step == 37:
        scale[5] = 0.0
    ratio = out / out.detach().abs().mean() * scale
    root = ratio.abs().sqrt()  # expect: GS201
    loss = (root - 1).pow(2).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
