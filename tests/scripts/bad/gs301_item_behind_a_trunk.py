"""Two tasks share a trunk, and the second loss is added as a number: its head never learns."""

import torch
import torch.nn.functional as F

torch.manual_seed(0)
trunk = torch.nn.Sequential(torch.nn.Linear(6, 20), torch.nn.Tanh())
price, kind = torch.nn.Linear(20, 1), torch.nn.Linear(20, 4)
everything = [*trunk.parameters(), *price.parameters(), *kind.parameters()]
optimizer = torch.optim.Adam(everything, lr=3e-3)


def losses(x):
    h = trunk(x)
    first = F.mse_loss(price(h)[:, 0], x.sum(1))
    second = F.cross_entropy(kind(h), x[:, :4].argmax(1)).item()  # expect: GS301
    return first, second


history = []
for _ in range(15):
    first, second = losses(torch.randn(40, 6))
    total = first + 0.3 * second
    optimizer.zero_grad()
    total.backward()
    optimizer.step()
    history.append((first.item(), second, total.item()))
