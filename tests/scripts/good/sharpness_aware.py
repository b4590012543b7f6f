"""Two backwards per update; the first one only moves the weights for a moment."""
import torch
import torch.nn as nn

torch.manual_seed(0)
net = nn.Sequential(nn.Linear(6, 24), nn.ReLU(), nn.Linear(24, 1))
base = torch.optim.SGD(net.parameters(), lr=0.05)
x = torch.randn(64, 6)
y = x[:, :2].prod(1, keepdim=True)
for step in range(20):
    loss = nn.functional.mse_loss(net(x), y)
    loss.backward()
    with torch.no_grad():
        norm = torch.sqrt(sum(p.grad.pow(2).sum() for p in net.parameters())) + 1e-12
        moved = [0.05 * p.grad / norm for p in net.parameters()]
        for p, e in zip(net.parameters(), moved):
            p.add_(e)
    base.zero_grad()
    nn.functional.mse_loss(net(x), y).backward()
    with torch.no_grad():
        for p, e in zip(net.parameters(), moved):
            p.sub_(e)
    base.step()
    base.zero_grad()
