"""no_grad() left around the encoder, which the optimizer is meant to train."""

import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(0)


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(30, 12)
        self.mix = nn.Conv1d(12, 16, 3, padding=1)
        self.side = nn.Linear(2, 16)
        self.head = nn.Linear(32, 3)

    def encode(self, words):
        with torch.no_grad():  # expect: GS301
            h = self.embed(words).transpose(1, 2)
            return self.mix(h).relu().mean(2)

    def forward(self, words, side):
        h = self.encode(words).to(torch.float32)
        return self.head(torch.cat([h, self.side(side)], 1))


def main():
    net = Tagger()
    optimizer = torch.optim.AdamW(net.parameters(), lr=2e-3)
    for _ in range(12):
        words, side = torch.randint(0, 30, (24, 7)), torch.randn(24, 2)
        loss = F.cross_entropy(net(words, side), words[:, 0] % 3)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            accuracy = (net(words, side).argmax(1) == words[:, 0] % 3).float().mean().item()


main()
