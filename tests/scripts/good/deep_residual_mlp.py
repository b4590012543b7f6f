import torch
from torch import nn, optim


class Block(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.up = nn.Linear(dim, 2 * dim)
        self.down = nn.Linear(2 * dim, dim)
        nn.init.zeros_(self.down.weight)  # every block starts as the identity
        nn.init.zeros_(self.down.bias)

    def forward(self, h):
        return h + self.down(torch.tanh(self.up(self.norm(h))))


class ResMLP(nn.Module):
    def __init__(self, depth=24, dim=32):
        super().__init__()
        self.embed = nn.Linear(8, dim)
        self.blocks = nn.ModuleList([Block(dim) for _ in range(depth)])
        self.head = nn.Linear(dim, 2)

    def forward(self, x):
        h = self.embed(x)
        for block in self.blocks:
            h = block(h)
        return self.head(h)


torch.manual_seed(0)
model = ResMLP()
data = torch.randn(32, 8)
target = (data.prod(1) > 0).long()
opt = optim.Adam(model.parameters(), lr=1e-3)
for _ in range(12):
    loss = nn.functional.cross_entropy(model(data), target)
    opt.zero_grad()
    loss.backward()
    opt.step()
