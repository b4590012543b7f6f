# contrast of one tower with targets as columns, another line for the view
import torch
from torch import nn

torch.manual_seed(0)
net = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 1))
opt = torch.optim.Adam(net.parameters(), lr=1e-3)
for step in range(8):
    time = torch.rand(16)
    risk = net(torch.randn(16, 6)).squeeze(1)
    column = risk.unsqueeze(1)
    later = (time[None, :] >= time[:, None]).float()
    concordance = torch.sigmoid(column - risk.detach()) * later
    loss = concordance.mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
