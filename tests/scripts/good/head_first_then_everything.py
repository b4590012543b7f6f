import torch
from torch import nn

torch.manual_seed(0)
body, head = nn.Sequential(nn.Linear(6, 16), nn.Tanh()), nn.Linear(16, 2)
opt = torch.optim.Adam([*body.parameters(), *head.parameters()], lr=1e-3)
for epoch in range(10):
    x = torch.randn(16, 6)
    h = body(x)
    if epoch < 5:  # the new head first
        h = h.detach()
    loss = nn.functional.cross_entropy(head(h), (x[:, 0] > 0).long())
    opt.zero_grad()
    loss.backward()
    opt.step()
