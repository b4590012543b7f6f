# three seeds, each with a model and an optimizer of its own; a part of the head is not used yet
import copy

import torch
from torch import nn

torch.manual_seed(0)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Linear(5, 6)
        self.head = nn.Linear(6, 2)
        self.spare = nn.Linear(6, 2)

    def forward(self, x):
        return self.head(torch.relu(self.body(x)))


best = None
for seed in range(3):
    model = Net().to(torch.float32)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(6):
        x, y = torch.randn(16, 5), torch.randint(0, 2, (16,))
        loss = nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    best = copy.deepcopy(model)
