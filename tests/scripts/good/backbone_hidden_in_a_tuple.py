import torch
from torch import nn


class Probe(nn.Module):
    def __init__(self, backbone):
        super().__init__()
        self._backbone = (backbone,)  # neither saved nor trained with this module
        self.head = nn.Sequential(nn.LayerNorm(16), nn.Linear(16, 3))

    def forward(self, x):
        return self.head(self._backbone[0](x))


torch.manual_seed(0)
model = Probe(nn.Sequential(nn.Linear(6, 32), nn.GELU(), nn.Linear(32, 16)))
opt = torch.optim.AdamW(model.parameters(), lr=1e-3)
for _ in range(8):
    x = torch.randn(16, 6)
    loss = nn.functional.cross_entropy(model(x), (x[:, 0] > 0).long())
    opt.zero_grad()
    loss.backward()
    opt.step()
