# what is looked at for the log is cut off; what is trained is not
import torch
from torch import nn

torch.manual_seed(0)
enc, dec = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4)), nn.Linear(4, 8)
opt = torch.optim.Adam([*enc.parameters(), *dec.parameters()], lr=1e-3)
log = []
for _ in range(8):
    x = torch.randn(16, 8)
    code = enc(x)
    log.append(code.detach().numpy().mean())
    log.append(code.abs().max().item())
    loss = nn.functional.mse_loss(dec(code), x)
    opt.zero_grad()
    loss.backward()
    opt.step()
