import torch
from torch import nn

torch.manual_seed(0)
enc = nn.Sequential(nn.Flatten(), nn.Linear(256, 32), nn.ReLU())
dec, cls = nn.Linear(32, 256), nn.Linear(32, 4)
opt = torch.optim.Adam([p for m in (enc, dec, cls) for p in m.parameters()], lr=1e-3)
for _ in range(6):
    x, y = torch.randn(16, 1, 16, 16), torch.randint(0, 4, (16,))
    z = enc(x)
    reconstruction = (dec(z) - x.flatten(1)).pow(2).sum()
    classification = nn.functional.cross_entropy(cls(z), y)  # expect: GS604
    loss = reconstruction + classification
    opt.zero_grad()
    loss.backward()
    opt.step()
