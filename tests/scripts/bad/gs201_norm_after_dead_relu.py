import torch
from torch import nn


class Embedder(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(6, 4)
        with torch.no_grad():
            self.fc.bias.fill_(-50.0)  # no unit ever fires

    def forward(self, x):
        h = torch.relu(self.fc(x))
        length = (h * h).sum(1, keepdim=True) ** 0.5  # expect: GS201
        return h * 1.0, length


torch.manual_seed(0)
model = Embedder()
sgd = torch.optim.SGD(model.parameters(), lr=0.1)
for batch in range(3):
    x = torch.randn(10, 6)
    z, n = model(x)
    loss = (z.sum() + (n - 1).pow(2).sum()) / 10
    sgd.zero_grad()
    loss.backward()
    sgd.step()
