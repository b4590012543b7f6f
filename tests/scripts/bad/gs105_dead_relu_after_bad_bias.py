import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 6, 3)
        self.fc = nn.Linear(6, 2)
        nn.init.constant_(self.conv.bias, -30.0)

    def forward(self, x):
        h = nn.functional.relu(self.conv(x))  # expect: GS105
        return self.fc(h.mean(dim=(2, 3)))


torch.manual_seed(0)
net = Net()
opt = torch.optim.SGD(net.parameters(), lr=0.01)
for _ in range(8):
    opt.zero_grad()
    loss = nn.functional.cross_entropy(net(torch.randn(8, 1, 9, 9)), torch.randint(0, 2, (8,)))
    loss.backward()
    opt.step()
