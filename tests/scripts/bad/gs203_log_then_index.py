import torch
import torch.nn as nn

torch.manual_seed(0)
scale = nn.Parameter(torch.ones(10))
opt = torch.optim.Adam([scale], lr=0.01)
counts = torch.tensor([0.0, 3.0, 1.0, 0.0, 7.0, 2.0, 5.0, 0.0, 4.0, 1.0])
for epoch in range(5):
    logs = torch.log(counts * scale)  # expect: GS203
    loss = (logs[counts > 0] - 1).pow(2).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
