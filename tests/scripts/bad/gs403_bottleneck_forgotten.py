import torch
import torch.nn as nn

torch.manual_seed(0)
enc = nn.Sequential(nn.Linear(20, 32), nn.ReLU())
mid = nn.Linear(32, 8)
dec = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 20))
opt = torch.optim.Adam([{"params": enc.parameters()}, {"params": dec.parameters(), "lr": 1e-3}], lr=3e-3)
for step in range(10):
    batch = torch.randn(16, 20)
    code = mid(enc(batch))  # expect: GS403
    loss = nn.functional.mse_loss(dec(code), batch)
    opt.zero_grad()
    loss.backward()
    opt.step()
