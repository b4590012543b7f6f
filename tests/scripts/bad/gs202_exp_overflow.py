import torch

torch.manual_seed(0)
W = torch.randn(6, 4, requires_grad=True)
x = torch.randn(10, 6) * 100
t = torch.randint(0, 4, (10,))
opt = torch.optim.Adam([W], lr=1e-3)
for step in range(4):
    scores = x @ W
    e = torch.exp(scores)  # expect: GS202
    p = e / e.sum(dim=1, keepdim=True)
    loss = -torch.log(p[torch.arange(10), t] + 1e-9).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
