"""Inputs from 0 to 255, batch norm behind the first convolution, mean over space by hand."""
import torch
from torch import nn

torch.manual_seed(0)
x = torch.randint(0, 256, (16, 1, 28, 28)).float()
y = torch.randint(0, 10, (16,))
features = nn.Sequential(
    nn.Conv2d(1, 6, 5), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2),
    nn.Conv2d(6, 16, 5), nn.BatchNorm2d(16), nn.ReLU(), nn.AvgPool2d(2),
)
classifier = nn.Linear(16, 10)
opt = torch.optim.Adam([*features.parameters(), *classifier.parameters()], lr=2e-3)
for i in range(20):
    maps = features(x)
    pooled = maps.mean(dim=(2, 3))
    loss = nn.CrossEntropyLoss()(classifier(pooled), y)
    opt.zero_grad()
    loss.backward()
    opt.step()
