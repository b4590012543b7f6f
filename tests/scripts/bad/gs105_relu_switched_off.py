import torch
from torch import nn

torch.manual_seed(0)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(6, 32)
        self.second = nn.Linear(32, 32)
        self.third = nn.Linear(32, 3)
        nn.init.constant_(self.second.bias, -30.0)

    def forward(self, x):
        h = torch.relu(self.first(x))
        h = torch.relu(self.second(h))  # expect: GS105
        return self.third(h)


net = Net()
opt = torch.optim.SGD(net.parameters(), lr=0.05)
for step in range(12):
    x = torch.randn(24, 6)
    loss = nn.functional.cross_entropy(net(x), (x[:, 0] > 0).long())
    opt.zero_grad()
    loss.backward()
    opt.step()
