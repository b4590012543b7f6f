import torch
import torch.nn as nn


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.l1 = nn.Linear(12, 40)
        self.l2 = nn.Linear(40, 40)
        self.l3 = nn.Linear(40, 40)
        self.l4 = nn.Linear(40, 40)
        self.out = nn.Linear(40, 3)
        self.act = nn.Softmax(dim=1)

    def forward(self, x):
        x = self.act(self.l1(x))
        x = self.act(self.l2(x))
        x = self.act(self.l3(x))
        x = self.act(self.l4(x))  # expect: GS101
        return self.out(x)


torch.manual_seed(0)
net = Classifier()
opt = torch.optim.Adam(net.parameters(), lr=1e-3)
x = torch.randn(32, 12)
y = torch.randint(0, 3, (32,))
for epoch in range(10):
    opt.zero_grad()
    loss = nn.functional.cross_entropy(net(x), y)
    loss.backward()
    opt.step()
