"""Sigmoids that saturate and should: gates, attention, a sure classifier, a policy at its bound."""
import torch
from torch import nn

torch.manual_seed(0)


class Gated(nn.Module):
    def __init__(self):
        super().__init__()
        self.value = nn.Linear(8, 24)
        self.gate = nn.Linear(8, 24)
        self.out = nn.Linear(24, 1)
        nn.init.constant_(self.gate.bias, -5.0)  # shut at first, as in a highway network
        nn.init.constant_(self.out.bias, 9.0)

    def forward(self, x):
        h = torch.tanh(self.value(x)) * torch.sigmoid(self.gate(x))
        return torch.sigmoid(self.out(h))


net = Gated()
opt = torch.optim.Adam(net.parameters(), lr=1e-2)
for step in range(30):
    x = torch.randn(64, 8)
    y = torch.ones(64, 1)  # all positive: the output is sure, and right
    loss = nn.functional.binary_cross_entropy(net(x), y)
    opt.zero_grad()
    loss.backward()
    opt.step()
