import torch
import torch.nn as nn

torch.manual_seed(0)
net = nn.Sequential(nn.Linear(5, 40), nn.ReLU(), nn.Dropout(0.5), nn.Linear(40, 40), nn.ReLU(), nn.Dropout(0.5), nn.Linear(40, 1))
with torch.no_grad():
    net[0].bias[:20] = -50.0  # half of the units are off
opt = torch.optim.SGD(net.parameters(), lr=0.01)
for epoch in range(15):
    net.train()
    x = torch.randn(32, 5)
    loss = nn.functional.l1_loss(net(x), x.sum(1, keepdim=True))
    opt.zero_grad()
    loss.backward()
    opt.step()
    net.eval()
    with torch.no_grad():
        net(torch.randn(8, 5))
