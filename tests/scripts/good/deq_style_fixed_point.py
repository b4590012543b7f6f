import torch
from torch import nn

torch.manual_seed(0)
W, U, out = nn.Linear(16, 16), nn.Linear(4, 16), nn.Linear(16, 2)
with torch.no_grad():
    W.weight.mul_(0.3)
opt = torch.optim.Adam([p for m in (W, U, out) for p in m.parameters()], lr=1e-3)
for _ in range(6):
    x = torch.randn(12, 4)
    with torch.no_grad():
        z = torch.zeros(12, 16)
        for _ in range(30):
            z = torch.tanh(W(z) + U(x))
    z = torch.tanh(W(z) + U(x))
    loss = nn.functional.cross_entropy(out(z), (x[:, 0] > 0).long())
    opt.zero_grad()
    loss.backward()
    opt.step()
