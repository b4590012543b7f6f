import torch
from torch import nn
torch.manual_seed(0)
enc, dec, book = nn.Linear(10, 4), nn.Linear(4, 10), nn.Embedding(16, 4)
opt = torch.optim.Adam([*enc.parameters(), *dec.parameters(), *book.parameters()], lr=1e-3)
for i in range(20):
    x = torch.randn(32, 10)
    z = enc(x)
    k = torch.cdist(z, book.weight).argmin(1)
    q = book(k)
    loss = ((q - z.detach()) ** 2).mean() + 0.25 * ((z - q.detach()) ** 2).mean() + (dec(z + (q - z).detach()) - x).pow(2).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
