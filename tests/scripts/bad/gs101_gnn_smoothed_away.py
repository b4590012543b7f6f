# message passing through many layers of tanh with tiny weights
import torch
from torch import nn

torch.manual_seed(0)
n = 30
src, dst = torch.randint(0, n, (90,)), torch.randint(0, n, (90,))
deg = torch.zeros(n).scatter_add(0, dst, torch.ones(90)).clamp(min=1).unsqueeze(1)
layers = nn.ModuleList(nn.Linear(16, 16, bias=False) for _ in range(8))
for layer in layers:
    nn.init.normal_(layer.weight, std=0.02)
head = nn.Linear(16, 3)
opt = torch.optim.Adam([*layers.parameters(), *head.parameters()], lr=1e-4)
feat, label = torch.randn(n, 16), torch.randint(0, 3, (n,))
for epoch in range(6):
    h = feat
    for layer in layers:
        m = torch.zeros_like(h).index_add(0, dst, h[src]) / deg
        h = torch.tanh(layer(h + m))  # expect: GS101
    loss = nn.functional.cross_entropy(head(h), label)
    opt.zero_grad()
    loss.backward()
    opt.step()
