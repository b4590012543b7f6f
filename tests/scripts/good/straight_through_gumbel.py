import torch
from torch import nn
import torch.nn.functional as F

torch.manual_seed(0)
enc, dec = nn.Linear(8, 5), nn.Linear(5, 8)
opt = torch.optim.Adam([*enc.parameters(), *dec.parameters()], lr=1e-3)
for _ in range(8):
    x = torch.randn(16, 8)
    soft = F.softmax(enc(x), -1)
    hard = F.one_hot(soft.argmax(-1), 5).float()
    z = hard - soft.detach() + soft
    loss = F.mse_loss(dec(z), x)
    opt.zero_grad()
    loss.backward()
    opt.step()
