import torch
from torch import nn

torch.manual_seed(0)


class Round(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.round()

    @staticmethod
    def backward(ctx, g):
        return g


encoder, decoder = nn.Linear(8, 4), nn.Linear(4, 8)
gate = nn.Parameter(torch.zeros(4))  # starts closed: at step 0 nothing behind it gets a gradient
opt = torch.optim.Adam([*encoder.parameters(), *decoder.parameters(), gate], lr=5e-3)
x = torch.randn(32, 8)
for i in range(20):
    z = encoder(x) * 3
    code = Round.apply(z) if i % 2 else z + (z.round() - z).detach()
    loss = (decoder(code * gate) - x).pow(2).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
