import torch
from torch import nn

torch.manual_seed(0)
enc, dec = nn.Linear(10, 6), nn.Linear(6, 10)
opt = torch.optim.Adam([*enc.parameters(), *dec.parameters()], lr=1e-2)
for _ in range(10):
    x = torch.randn(32, 10)
    code = torch.floor(enc(x) * 4)  # expect: GS303
    loss = (dec(code) - x).abs().mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
