import torch
from torch import nn


class Trainer:
    def __init__(self, net):
        self.net = net
        self.optim = torch.optim.Adam(net.parameters(), lr=1e-3)
        self.criterion = nn.CrossEntropyLoss()

    def fit_batch(self, xb, yb):
        loss = self.criterion(self.net(xb), yb)
        loss.backward()  # expect: GS401
        self.optim.step()
        return loss.item()

    def fit(self, data, epochs):
        for _ in range(epochs):
            for xb, yb in data:
                self.fit_batch(xb, yb)


torch.manual_seed(0)
batches = [(torch.randn(8, 6), torch.randint(0, 3, (8,))) for _ in range(5)]
Trainer(nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 3))).fit(batches, 3)
