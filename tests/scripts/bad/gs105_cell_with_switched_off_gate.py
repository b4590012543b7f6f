import torch
from torch import nn


class Gated(nn.Module):
    def __init__(self):
        super().__init__()
        self.value, self.gate = nn.Linear(6, 12), nn.Linear(6, 12)
        self.out = nn.Linear(12, 1)
        nn.init.constant_(self.gate.bias, -50.0)

    def forward(self, x):
        g = torch.relu(self.gate(x))  # expect: GS105
        return self.out(self.value(x) * g)


torch.manual_seed(0)
net = Gated()
opt = torch.optim.Adam(net.parameters(), lr=1e-3)
for _ in range(8):
    x = torch.randn(16, 6)
    loss = nn.functional.mse_loss(net(x), x[:, :1])
    opt.zero_grad()
    loss.backward()
    opt.step()
