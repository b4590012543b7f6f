import torch
from torch import nn
torch.manual_seed(0)
f = nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 2))
opt = torch.optim.Adam(f.parameters(), lr=1e-2)
y0 = torch.tensor([[2.0, 0.0]]);
for i in range(8):
    y, out = y0, []
    for t in range(40):
        y = y + 0.05 * f(y)
        out.append(y)
    loss = (torch.stack(out) - torch.linspace(2, 1, 40)[:, None, None]).abs().mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
