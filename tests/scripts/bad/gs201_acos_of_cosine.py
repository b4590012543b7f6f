import torch
import torch.nn.functional as F

torch.manual_seed(0)
emb = torch.nn.Embedding(12, 6)
opt = torch.optim.SGD(emb.parameters(), lr=0.1)
for step in range(6):
    i = torch.arange(6)
    a, b = F.normalize(emb(i), dim=1), F.normalize(emb(i), dim=1)
    angle = torch.acos((a * b).sum(1).clamp(-1, 1).round(decimals=4))
    d = (a - b).norm(dim=1)
    far = torch.sqrt((emb(i) - emb(i).detach()).pow(2).sum(1))  # expect: GS201
    loss = far.mean() + emb(i).pow(2).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
