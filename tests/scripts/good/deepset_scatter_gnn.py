import torch
from torch import nn


class Layer(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.msg, self.upd = nn.Linear(2 * d, d), nn.GRUCell(d, d)

    def forward(self, h, src, dst):
        m = torch.relu(self.msg(torch.cat([h[src], h[dst]], 1)))
        agg = torch.zeros_like(h).scatter_add(0, dst[:, None].expand_as(m), m)
        return self.upd(agg, h)


torch.manual_seed(0)
emb, layer, out = nn.Linear(4, 12), Layer(12), nn.Linear(12, 2)
opt = torch.optim.Adam([*emb.parameters(), *layer.parameters(), *out.parameters()], lr=1e-3)
src, dst = torch.randint(0, 20, (60,)), torch.randint(0, 20, (60,))
x, y = torch.randn(20, 4), torch.randint(0, 2, (20,))
for epoch in range(6):
    h = emb(x)
    for _ in range(3):
        h = layer(h, src, dst)
    loss = nn.functional.cross_entropy(out(h), y)
    opt.zero_grad()
    loss.backward()
    opt.step()
