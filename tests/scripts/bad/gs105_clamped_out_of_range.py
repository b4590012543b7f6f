import torch
from torch import nn


def normalise(pixels):
    return torch.clamp(pixels, 0.0, 1.0)  # expect: GS105


torch.manual_seed(0)
stem = nn.Conv2d(1, 4, 3, padding=1)
head = nn.Linear(4, 5)
opt = torch.optim.AdamW(list(stem.parameters()) + list(head.parameters()), lr=1e-3)
for batch in range(8):
    images = torch.rand(6, 1, 8, 8)
    features = stem(images) * 0.1 + 3.0
    maps = normalise(features)  # the clamp is in the function above
    logits = head(maps.mean((2, 3)))
    loss = nn.functional.cross_entropy(logits, torch.randint(0, 5, (6,)))
    opt.zero_grad()
    loss.backward()
    opt.step()
