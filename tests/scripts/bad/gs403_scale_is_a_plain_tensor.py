import torch
from torch import nn


class ScaledAttention(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.qkv = nn.Linear(d, 3 * d)
        self.temperature = torch.ones(1, requires_grad=True)  # no nn.Parameter
        self.out = nn.Linear(d, d)

    def forward(self, x):
        q, k, v = self.qkv(x).chunk(3, -1)
        w = torch.softmax(q @ k.transpose(1, 2) * self.temperature, -1)  # expect: GS403
        return self.out(w @ v)


torch.manual_seed(0)
attention, head = ScaledAttention(8), nn.Linear(8, 2)
opt = torch.optim.AdamW([*attention.parameters(), *head.parameters()], lr=1e-3)
for _ in range(8):
    x = torch.randn(6, 5, 8)
    loss = nn.functional.cross_entropy(head(attention(x).mean(1)), torch.randint(0, 2, (6,)))
    opt.zero_grad()
    loss.backward()
    opt.step()
