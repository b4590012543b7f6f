import torch
from torch import nn

torch.manual_seed(0)
score = nn.Linear(8, 1)
out = nn.Linear(8, 2)
opt = torch.optim.Adam([*score.parameters(), *out.parameters()], lr=1e-2)
x = torch.randn(12, 9, 8)
lengths = torch.randint(2, 10, (12,))
pad = torch.arange(9)[None, :] >= lengths[:, None]
y = torch.randint(0, 2, (12,))
for i in range(20):
    s = score(x).squeeze(-1).masked_fill(pad, float("-inf"))
    pooled = (torch.softmax(s, 1).unsqueeze(-1) * x).sum(1)
    loss = nn.functional.cross_entropy(out(pooled), y)
    opt.zero_grad()
    loss.backward()
    opt.step()
