# feature reuse as in DenseNet
import torch
import torch.nn as nn


class Dense(nn.Module):
    def __init__(self, width, growth, depth):
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(width + i * growth, growth, 3, padding=1) for i in range(depth))

    def forward(self, features):
        for conv in self.convs:
            new = torch.relu(conv(features))
            features = torch.cat((features.data, new), 1)  # expect: GS305
        return features


torch.manual_seed(0)
first, dense, last = nn.Conv2d(3, 6, 3), Dense(6, 4, 3), nn.Linear(18, 2)
sgd = torch.optim.SGD([*first.parameters(), *dense.parameters(), *last.parameters()], lr=0.02)
for _ in range(5):
    pictures = torch.randn(4, 3, 8, 8)
    scores = last(dense(first(pictures)).mean((2, 3)))
    loss = nn.functional.cross_entropy(scores, torch.randint(0, 2, (4,)))
    sgd.zero_grad()
    loss.backward()
    sgd.step()
