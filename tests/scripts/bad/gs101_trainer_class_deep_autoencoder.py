from dataclasses import dataclass

import torch
from torch import nn


@dataclass
class Config:
    depth: int = 8
    width: int = 32
    lr: float = 1e-3


class AutoEncoder(nn.Module):
    def __init__(self, cfg):
        super().__init__()
        layers = [nn.Linear(20, cfg.width), nn.Sigmoid()]
        for _ in range(cfg.depth):
            layers += [nn.Linear(cfg.width, cfg.width), nn.Sigmoid()]
        self.encode = nn.Sequential(*layers)
        self.decode = nn.Sequential(nn.Linear(cfg.width, 20))

    def forward(self, x):
        return self.decode(self.encode(x))  # expect: GS101


class Trainer:
    def __init__(self, cfg):
        self.model = AutoEncoder(cfg)
        self.opt = torch.optim.Adam(self.model.parameters(), lr=cfg.lr)

    def step(self, x):
        self.opt.zero_grad()
        loss = nn.functional.mse_loss(self.model(x), x)
        loss.backward()
        self.opt.step()
        return loss.item()


torch.manual_seed(0)
trainer = Trainer(Config())
for _ in range(8):
    trainer.step(torch.randn(16, 20))
