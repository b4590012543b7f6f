# an autoregressive decoder that feeds its own result back
import torch
from torch import nn


class Decoder(nn.Module):
    def __init__(self, n=10, hidden=16):
        super().__init__()
        self.inp = nn.Linear(n, hidden)
        self.hid = nn.Linear(hidden, hidden)
        self.out = nn.Linear(hidden, n)

    def unroll(self, x, steps):
        h = torch.tanh(self.inp(x))
        for _ in range(steps):
            h = torch.sigmoid(self.hid(h))  # expect: GS103
            yield h

    def forward(self, x, steps=25):
        *_, last = self.unroll(x, steps)
        return self.out(last)


torch.manual_seed(0)
model = Decoder()
opt = torch.optim.RMSprop(model.parameters(), lr=1e-3)
for _ in range(6):
    x = torch.randn(12, 10)
    loss = nn.functional.mse_loss(model(x), x)
    opt.zero_grad()
    loss.backward()
    opt.step()
