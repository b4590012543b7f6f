"""Two losses of one trunk, each with its own backward: the first frees the trunk's graph."""

# raises: RuntimeError

import torch
import torch.nn as nn


def train():
    torch.manual_seed(0)
    trunk = nn.Sequential(nn.Linear(8, 16), nn.Tanh())
    classify, regress = nn.Linear(16, 3), nn.Linear(16, 1)
    parameters = [*trunk.parameters(), *classify.parameters(), *regress.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=1e-3)
    for _ in range(3):
        x = torch.randn(20, 8)
        features = trunk(x)
        class_loss = nn.functional.cross_entropy(classify(features), torch.randint(0, 3, (20,)))
        value_loss = nn.functional.l1_loss(regress(features), torch.randn(20, 1))
        optimizer.zero_grad()
        class_loss.backward()
        value_loss.backward()  # expect: GS502
        optimizer.step()


train()
