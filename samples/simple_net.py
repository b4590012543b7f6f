"""A network that is only run forward: there is a graph, but nothing ever asks for gradients."""

import torch
from torch import nn


class SimpleNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(20, 10)
        self.relu = nn.ReLU()
        self.fc2 = nn.Linear(10, 1)

    def forward(self, x):
        return self.fc2(self.relu(self.fc1(x)))


torch.manual_seed(0)
model = SimpleNet()
output = model(torch.randn(1, 20))
print(output.shape)  # torch.Size([1, 1])

stacked = nn.Sequential(
    nn.Linear(20, 10), nn.ReLU(), nn.Linear(10, 5), nn.Sigmoid(), nn.Linear(5, 1)
)
print(stacked(torch.randn(3, 20)).shape)  # torch.Size([3, 1])
