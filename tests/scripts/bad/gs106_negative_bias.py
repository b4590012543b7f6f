import torch
from torch import nn

torch.manual_seed(0)


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Linear(12, 64)
        self.body = nn.Linear(64, 64)
        self.head = nn.Linear(64, 4)
        for layer in (self.stem, self.body):
            nn.init.uniform_(layer.bias, -4.0, 0.0)  # meant to make the code sparse

    def forward(self, x):
        h = torch.relu(self.stem(x))  # expect: GS106
        h = h + torch.tanh(self.body(h))
        return self.head(h)


net = Classifier()
opt = torch.optim.Adam(net.parameters(), lr=1e-3)
x = torch.randn(256, 12)
y = (x[:, 0] > 0).long() + 2 * (x[:, 1] > 0).long()
for epoch in range(12):
    for i in range(0, 256, 64):
        opt.zero_grad()
        loss = nn.functional.cross_entropy(net(x[i : i + 64]), y[i : i + 64])
        loss.backward()
        opt.step()
