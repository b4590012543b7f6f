import argparse

import torch
from torch import nn


def get_args():
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--lr", type=float, default=0.001)
    parser.add_argument("--margin", type=float, default=1.0)
    return parser.parse_args([])


class Tower(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4 * 9, 8))

    def forward(self, x):
        return self.conv(x)


def main():
    args = get_args()
    torch.manual_seed(0)
    tower = Tower()
    optimizer = torch.optim.Adam(tower.parameters(), lr=args.lr)
    for epoch in range(args.epochs):
        a, b = torch.randn(12, 1, 8, 8), torch.randn(12, 1, 8, 8)
        same = torch.randint(0, 2, (12,)).float()
        distance = nn.functional.pairwise_distance(tower(a), tower(b))
        loss = (same * distance ** 2 + (1 - same) * (args.margin - distance).clamp(min=0) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


if __name__ == "__main__":
    main()
