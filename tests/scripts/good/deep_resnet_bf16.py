import torch
from torch import nn

torch.manual_seed(0)


class Block(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.norm, self.a, self.b = nn.LayerNorm(d), nn.Linear(d, 2 * d), nn.Linear(2 * d, d)

    def forward(self, x):
        return x + self.b(nn.functional.gelu(self.a(self.norm(x))))


net = nn.Sequential(nn.Linear(8, 32), *[Block(32) for _ in range(16)], nn.LayerNorm(32), nn.Linear(32, 4))
opt = torch.optim.AdamW(net.parameters(), lr=1e-3)
for _ in range(4):
    x = torch.randn(16, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = nn.functional.cross_entropy(net(x), (x[:, 0] > 0).long())
    opt.zero_grad()
    loss.backward()
    opt.step()
