import torch
from torch import nn


class Block(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.a, self.b = nn.Linear(n, n), nn.Linear(n, n)

    def forward(self, x):
        return x + self.b(torch.relu(self.a(x)))  # expect: GS403


class ResNet(nn.Module):
    def __init__(self, n=16, depth=3):
        super().__init__()
        self.stem = nn.Linear(4, n)
        self.blocks = tuple(Block(n) for _ in range(depth))
        self.head = nn.Linear(n, 2)

    def forward(self, x):
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return self.head(x)


torch.manual_seed(0)
model = ResNet()
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
for _ in range(8):
    x = torch.randn(20, 4)
    loss = nn.functional.cross_entropy(model(x), (x.sum(1) > 0).long())
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
