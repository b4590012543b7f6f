import torch
from torch import nn
torch.manual_seed(0)
W, U, head = nn.Linear(16, 16), nn.Linear(4, 16), nn.Linear(16, 2)
opt = torch.optim.Adam([*W.parameters(), *U.parameters(), *head.parameters()], lr=1e-3)
for i in range(6):
    x = torch.randn(20, 4)
    z = torch.zeros(20, 16)
    u = U(x)
    for k in range(25):
        z = torch.tanh(W(z) + u)
    loss = nn.functional.cross_entropy(head(z), (x[:, 0] > 0).long())
    opt.zero_grad()
    loss.backward()
    opt.step()
