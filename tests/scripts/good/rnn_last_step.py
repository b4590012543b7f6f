import torch
import torch.nn as nn


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.i2h = nn.Linear(4 + 16, 16)
        self.out = nn.Linear(16, 2)

    def forward(self, seq):
        h = torch.zeros(seq.size(0), 16)
        for t in range(seq.size(1)):
            h = torch.tanh(self.i2h(torch.cat([seq[:, t], h], dim=1)))
        return self.out(h)


torch.manual_seed(0)
net = Classifier()
x = torch.randn(32, 15, 4)
y = (x[:, -3:, 0].sum(1) > 0).long()
opt = torch.optim.Adam(net.parameters(), lr=0.01)
for epoch in range(25):
    opt.zero_grad()
    loss = nn.functional.cross_entropy(net(x), y)
    loss.backward()
    opt.step()
