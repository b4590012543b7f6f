import torch
from torch import nn

torch.manual_seed(0)
features = nn.Sequential(nn.Conv1d(2, 16, 3), nn.ReLU(), nn.Conv1d(16, 8, 3), nn.AdaptiveAvgPool1d(1), nn.Flatten())
classifier = nn.Linear(8, 3)
optimizer = torch.optim.SGD(features.parameters(), lr=0.05)
for epoch in range(8):
    x, y = torch.randn(12, 2, 20), torch.randint(0, 3, (12,))
    logits = classifier(features(x))  # expect: GS403
    loss = nn.functional.cross_entropy(logits, y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
