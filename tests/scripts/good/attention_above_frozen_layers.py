"""The last block of a small transformer is trained; with small weights its queries get little."""

import torch
from torch import nn

torch.manual_seed(0)
WIDTH = 32


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(WIDTH, WIDTH) for _ in range(3))
        self.out = nn.Linear(WIDTH, WIDTH)
        self.up, self.down = nn.Linear(WIDTH, 64), nn.Linear(64, WIDTH)
        self.norms = nn.ModuleList([nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)])

    def forward(self, x):
        scores = self.query(x) @ self.key(x).transpose(1, 2) / WIDTH**0.5
        x = self.norms[0](x + self.out(scores.softmax(-1) @ self.value(x)))
        return self.norms[1](x + self.down(torch.nn.functional.gelu(self.up(x))))


class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(100, WIDTH)
        self.blocks = nn.ModuleList([Block(), Block()])
        self.pool, self.classify = nn.Linear(WIDTH, WIDTH), nn.Linear(WIDTH, 2)
        for module in self.modules():
            if isinstance(module, (nn.Linear, nn.Embedding)):
                nn.init.normal_(module.weight, std=0.02)
        for linear in (m for m in self.modules() if isinstance(m, nn.Linear)):
            nn.init.zeros_(linear.bias)

    def forward(self, ids):
        x = self.embed(ids)
        for block in self.blocks:
            x = block(x)
        return self.classify(torch.tanh(self.pool(x[:, 0])))


model = Encoder()
for frozen in (model.embed, model.blocks[0]):
    frozen.requires_grad_(False)
optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=2e-4)
ids = torch.randint(5, 100, (64, 12))
labels = (ids[:, 1] > 50).long()
for _ in range(2):
    for batch in torch.arange(64).split(16):
        loss = nn.functional.cross_entropy(model(ids[batch]), labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
