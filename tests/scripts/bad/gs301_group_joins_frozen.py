"""The features are to be tuned from the third epoch on, but nobody takes them out of the ice."""

import torch
from torch import nn

torch.manual_seed(0)
features = nn.Sequential(nn.Linear(6, 16), nn.ReLU())
classifier = nn.Linear(16, 3)
for weight in features.parameters():
    weight.requires_grad = False
optimizer = torch.optim.SGD(classifier.parameters(), lr=0.1)
x = torch.randn(60, 6)
y = x[:, :3].argmax(1)
for epoch in range(8):
    if epoch == 3:
        optimizer.add_param_group({"params": features.parameters(), "lr": 0.01})  # expect: GS301
    for rows in torch.randperm(60).split(20):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(classifier(features(x[rows])), y[rows])
        loss.backward()
        optimizer.step()
