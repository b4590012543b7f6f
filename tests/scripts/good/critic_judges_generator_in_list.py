import torch
import torch.nn as nn


class Generator(nn.Module):
    def __init__(self, critic):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2))
        self._critic = (critic,)

    def forward(self, z):
        return self.net(z)

    def step(self, z):
        return -self._critic[0](self.net(z)).mean()


torch.manual_seed(0)
critic = nn.Sequential(nn.Linear(2, 16), nn.LeakyReLU(0.2), nn.Linear(16, 1))
gen = Generator(critic)
opt = torch.optim.Adam(gen.parameters(), lr=1e-3)
for _ in range(10):
    loss = gen.step(torch.randn(32, 4))
    opt.zero_grad()
    loss.backward()
    opt.step()
