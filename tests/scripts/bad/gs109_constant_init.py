import torch
import torch.nn as nn


def init(m):
    if isinstance(m, nn.Linear):
        nn.init.constant_(m.weight, 0.05)
        nn.init.zeros_(m.bias)


torch.manual_seed(0)
mlp = nn.Sequential(nn.Linear(8, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 3))
mlp.apply(init)
opt = torch.optim.Adam(mlp.parameters(), lr=1e-3)
x = torch.randn(90, 8)
y = x[:, :3].argmax(1)
for epoch in range(10):
    opt.zero_grad()
    loss = nn.functional.cross_entropy(mlp(x), y)  # expect: GS109
    loss.backward()
    opt.step()
