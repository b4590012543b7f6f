import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(0)
def tower(n):
    return nn.Sequential(nn.Linear(n, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 64), nn.BatchNorm1d(64), nn.ReLU(), nn.Linear(64, 16))

image, text = tower(20), tower(12)
logit_scale = nn.Parameter(torch.tensor(2.659))
params = [*image.parameters(), *text.parameters(), logit_scale]
opt = torch.optim.AdamW(params, lr=1e-3)
a, b = torch.randn(48, 20), torch.randn(48, 12)
for _ in range(20):
    za, zb = F.normalize(image(a), dim=1), F.normalize(text(b), dim=1)
    sim = logit_scale.exp() * za @ zb.t()
    target = torch.arange(48)
    loss = 0.5 * (F.cross_entropy(sim, target) + F.cross_entropy(sim.t(), target))
    opt.zero_grad()
    loss.backward()
    opt.step()
