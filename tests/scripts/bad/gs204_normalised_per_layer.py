import torch
from torch.nn.utils import clip_grad_norm_

torch.manual_seed(0)


class TwoHeads(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk = torch.nn.Linear(5, 7)
        self.left, self.right = torch.nn.Linear(7, 1), torch.nn.Linear(7, 1)

    def forward(self, x, weight):
        h = torch.relu(self.trunk(x))
        return self.left(h) + weight * self.right(h)


net = TwoHeads()
opt = torch.optim.SGD(net.parameters(), lr=0.01)


def normalise():
    # every layer gets a gradient of length one; a head with weight 0 has none
    for p in net.parameters():
        p.grad.div_(p.grad.norm())


for i in range(5):
    x = torch.randn(12, 5)
    loss = (net(x, 1.0 if i < 4 else 0.0) - x.sum(1, keepdim=True)).square().mean()
    opt.zero_grad()
    loss.backward()
    normalise()
    clip_grad_norm_(net.parameters(), 0.5)  # expect: GS204
    opt.step()
