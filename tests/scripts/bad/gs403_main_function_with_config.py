import argparse

import torch
from torch import nn


class Stack(nn.Module):
    def __init__(self, width, depth):
        super().__init__()
        self.inp = nn.Linear(5, width)
        self.hidden = {}
        for i in range(depth):
            self.hidden[i] = nn.Linear(width, width)
        self.out = nn.Linear(width, 2)

    def forward(self, x):
        x = self.inp(x)
        for layer in self.hidden.values():
            x = layer(x).relu()  # expect: GS403
        return self.out(x)


def main(argv=None):
    parser = argparse.ArgumentParser()
    parser.add_argument("--depth", type=int, default=2)
    parser.add_argument("--steps", type=int, default=8)
    args = parser.parse_args(argv)
    torch.manual_seed(0)
    model = Stack(16, args.depth)
    optimizer = torch.optim.RMSprop(model.parameters(), lr=1e-3)
    for _ in range(args.steps):
        x = torch.randn(16, 5)
        loss = nn.functional.cross_entropy(model(x), (x[:, 0] > 0).long())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item()


if __name__ == "__main__":
    main([])
