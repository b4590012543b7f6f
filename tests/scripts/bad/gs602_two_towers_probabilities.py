import torch
from torch import nn
import torch.nn.functional as F


def similarity(a, b):
    return F.softmax(a @ b.T / 0.1, dim=1)  # expect: GS602


torch.manual_seed(0)
text, image = nn.Linear(8, 16), nn.Linear(12, 16)
opt = torch.optim.AdamW([*text.parameters(), *image.parameters()], lr=1e-3)
for _ in range(6):
    a, b = F.normalize(text(torch.randn(10, 8)), dim=1), F.normalize(image(torch.randn(10, 12)), dim=1)
    loss = F.cross_entropy(similarity(a, b), torch.arange(10))
    opt.zero_grad()
    loss.backward()
    opt.step()
