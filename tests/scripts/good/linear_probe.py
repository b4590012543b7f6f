"""Only the head is trained; the backbone gets gradients that nobody uses."""
import torch
import torch.nn as nn

torch.manual_seed(0)
backbone = nn.Sequential(nn.Linear(12, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU())
head = nn.Linear(32, 3)
optimizer = torch.optim.SGD(head.parameters(), lr=0.1)
x, y = torch.randn(60, 12), torch.randint(0, 3, (60,))
for epoch in range(15):
    loss = nn.functional.cross_entropy(head(backbone(x)), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
