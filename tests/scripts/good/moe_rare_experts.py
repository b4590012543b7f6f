import torch
from torch import nn


class MoE(nn.Module):
    def __init__(self, d=8, n=6):
        super().__init__()
        self.gate = nn.Linear(d, n)
        self.experts = nn.ModuleList(nn.Sequential(nn.Linear(d, 16), nn.GELU(), nn.Linear(16, d)) for _ in range(n))

    def forward(self, x):
        w, which = self.gate(x).softmax(-1).max(-1)
        out = torch.zeros_like(x)
        for i, expert in enumerate(self.experts):
            picked = (which == i).nonzero().squeeze(1)
            if len(picked):
                out = out.index_add(0, picked, w[picked, None] * expert(x[picked]))
        return x + out


torch.manual_seed(0)
layer, head = MoE(), nn.Linear(8, 2)
opt = torch.optim.AdamW([*layer.parameters(), *head.parameters()], lr=1e-3)
for step in range(8):
    x = torch.randn(3, 8) + torch.tensor([2.0] * 8)
    loss = nn.functional.cross_entropy(head(layer(x)), torch.randint(0, 2, (3,)))
    opt.zero_grad()
    loss.backward()
    opt.step()
