import torch
import torch.nn as nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = [nn.Linear(10, 20), nn.Linear(20, 20)]
        self.head = nn.Linear(20, 2)

    def forward(self, x):
        for layer in self.layers:
            x = torch.relu(layer(x))  # expect: GS403
        return self.head(x)


torch.manual_seed(0)
net = Net()
optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
x = torch.randn(40, 10)
y = (x[:, 0] * x[:, 1] > 0).long()
for epoch in range(10):
    loss = nn.functional.cross_entropy(net(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
