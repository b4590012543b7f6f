import torch
import torch.nn as nn

torch.manual_seed(0)
cnn = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 16, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 10))
cnn.eval()
image = torch.randn(1, 3, 24, 24).requires_grad_()
optimizer = torch.optim.Adam([image], lr=0.05, weight_decay=1e-6)
for step in range(20):
    optimizer.zero_grad()
    score = cnn(image)[0, 3]
    (-score).backward()
    optimizer.step()
