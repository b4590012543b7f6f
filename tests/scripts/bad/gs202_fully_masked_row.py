import math
import torch
import torch.nn as nn


class Attention(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.qkv = nn.Linear(d, 3 * d)
        self.d = d

    def forward(self, x, pad):
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        scores = q @ k.transpose(1, 2) / math.sqrt(self.d)
        scores = scores.masked_fill(pad[:, None, :], float("-inf"))
        return torch.softmax(scores, dim=-1) @ v  # expect: GS202


torch.manual_seed(0)
attn = Attention(8)
sgd = torch.optim.SGD(attn.parameters(), lr=0.01)
for i in range(4):
    x = torch.randn(3, 5, 8)
    pad = torch.zeros(3, 5, dtype=torch.bool)
    pad[1] = True  # an empty sequence
    loss = attn(x, pad).pow(2).mean()
    sgd.zero_grad()
    loss.backward()
    sgd.step()
