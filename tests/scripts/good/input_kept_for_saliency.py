import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(1, 4, 3), nn.Linear(4, 2)

    def forward(self, x):
        self.seen = x.clone().requires_grad_()
        scaled = self.seen * 2 - 1
        return self.fc(torch.relu(self.conv(scaled)).mean((2, 3)))


torch.manual_seed(0)
net = Net()
opt = torch.optim.SGD(net.parameters(), lr=0.05)
for _ in range(6):
    loss = nn.functional.cross_entropy(net(torch.rand(8, 1, 7, 7)), torch.randint(0, 2, (8,)))
    opt.zero_grad()
    loss.backward()
    saliency = net.seen.grad.abs().mean()
    opt.step()
