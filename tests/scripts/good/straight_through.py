import torch
import torch.nn as nn


class Round(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return torch.round(x)

    @staticmethod
    def backward(ctx, grad):
        return grad


torch.manual_seed(0)
enc, dec = nn.Linear(10, 6), nn.Linear(6, 10)
codebook = nn.Parameter(torch.randn(16, 6))
opt = torch.optim.Adam([*enc.parameters(), *dec.parameters(), codebook], lr=3e-3)
for it in range(25):
    x = torch.randn(32, 10)
    z = enc(x)
    nearest = codebook[torch.cdist(z, codebook).argmin(1)]
    quantised = z + (nearest - z).detach()
    out = dec(Round.apply(quantised * 8) / 8)
    loss = (out - x).pow(2).mean() + (nearest - z.detach()).pow(2).mean() + 0.25 * (nearest.detach() - z).pow(2).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
