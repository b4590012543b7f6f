import torch
from torch import nn

torch.manual_seed(0)
net = nn.Sequential(nn.Linear(6, 24), nn.ReLU(), nn.Linear(24, 3))
opt = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
for _ in range(10):
    x, y, u = torch.randn(12, 6), torch.randint(0, 3, (12,)), torch.randn(24, 6)
    pseudo = net(u).detach().softmax(1)
    keep = pseudo.max(1).values > 0.4
    loss = nn.functional.cross_entropy(net(x), y)
    strong = nn.functional.cross_entropy(net(u + 0.2 * torch.randn_like(u)), pseudo.argmax(1), reduction="none")
    loss = loss + (strong * keep).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
