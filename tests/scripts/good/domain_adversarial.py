import torch
from torch import nn
torch.manual_seed(0)
class Rev(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, lam):
        ctx.lam = lam
        return x.view_as(x)
    @staticmethod
    def backward(ctx, g):
        return -ctx.lam * g, None
F_ = nn.Sequential(nn.Linear(6, 24), nn.ReLU())
Y = nn.Linear(24, 3)
Dm = nn.Sequential(nn.Linear(24, 12), nn.ReLU(), nn.Linear(12, 2))
opt = torch.optim.SGD([*F_.parameters(), *Y.parameters(), *Dm.parameters()], lr=0.01, momentum=0.9)
for i in range(20):
    lam = 2 / (1 + 2.718 ** (-10 * i / 20)) - 1
    xs, xt = torch.randn(16, 6), torch.randn(16, 6) + 1
    ys = xs[:, :3].argmax(1)
    f = F_(torch.cat([xs, xt]))
    dom = torch.cat([torch.zeros(16), torch.ones(16)]).long()
    loss = nn.functional.cross_entropy(Y(f[:16]), ys) + nn.functional.cross_entropy(Dm(Rev.apply(f, lam)), dom)
    opt.zero_grad()
    loss.backward()
    opt.step()
