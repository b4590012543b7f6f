"""Contrastive pairs: the text tower learns towards an image tower that stays as it is."""

import torch
from torch import nn

torch.manual_seed(0)
image = nn.Sequential(nn.Linear(12, 24), nn.GELU(), nn.Linear(24, 8))
text = nn.Sequential(nn.Linear(9, 24), nn.GELU(), nn.Linear(24, 8))
scale = nn.Parameter(torch.tensor(2.0))
opt = torch.optim.AdamW([*text.parameters(), scale], lr=1e-3)
for step in range(8):
    picture, words = torch.randn(16, 12), torch.randn(16, 9)
    a = nn.functional.normalize(image(picture), dim=-1)
    b = nn.functional.normalize(text(words), dim=-1)
    loss = nn.functional.cross_entropy(scale.exp() * a @ b.T, torch.arange(16))
    opt.zero_grad()
    loss.backward()
    opt.step()
