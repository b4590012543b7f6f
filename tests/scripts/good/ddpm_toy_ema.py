import copy
from dataclasses import dataclass

import torch
from torch import nn


@dataclass
class Config:
    steps: int = 50
    width: int = 48
    lr: float = 1e-3
    decay: float = 0.99


class Denoiser(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.time = nn.Embedding(c.steps, c.width)
        self.inp = nn.Linear(2, c.width)
        self.mid = nn.ModuleList(nn.Linear(c.width, c.width) for _ in range(3))
        self.out = nn.Linear(c.width, 2)

    def forward(self, x, t):
        h = self.inp(x) + self.time(t)
        for layer in self.mid:
            h = h + torch.nn.functional.silu(layer(h))
        return self.out(h)


torch.manual_seed(0)
cfg = Config()
model = Denoiser(cfg)
ema = copy.deepcopy(model).requires_grad_(False)
beta = torch.linspace(1e-4, 0.1, cfg.steps)
abar = torch.cumprod(1 - beta, 0)
opt = torch.optim.AdamW(model.parameters(), lr=cfg.lr)
for it in range(12):
    x0 = torch.randn(64, 2) * 0.3 + torch.tensor([1.0, -1.0])
    t = torch.randint(0, cfg.steps, (64,))
    eps = torch.randn_like(x0)
    a = abar[t].unsqueeze(1)
    loss = nn.functional.mse_loss(model(a.sqrt() * x0 + (1 - a).sqrt() * eps, t), eps)
    opt.zero_grad(set_to_none=True)
    loss.backward()
    opt.step()
    with torch.no_grad():
        for e, p in zip(ema.parameters(), model.parameters()):
            e.lerp_(p, 1 - cfg.decay)
