"""Optimises the input of a frozen network; no parameter takes part."""
import torch
import torch.nn as nn

torch.manual_seed(0)
victim = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 16, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(16 * 6 * 6, 32), nn.ReLU(), nn.Linear(32, 10))
for p in victim.parameters():
    p.requires_grad_(False)
image = torch.rand(1, 1, 16, 16)
delta = torch.zeros_like(image, requires_grad=True)
label = victim(image).argmax(1)
for i in range(12):
    loss = nn.functional.cross_entropy(victim(image + delta), label)
    loss.backward()
    with torch.no_grad():
        delta += 0.02 * delta.grad.sign()
        delta.clamp_(-0.1, 0.1)
    delta.grad = None
