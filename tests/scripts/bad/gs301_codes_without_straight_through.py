"""Autoencoder with a codebook: the decoder sees the nearest code, and the encoder learns nothing."""

import torch
from torch import nn


class Quantiser(nn.Module):
    def __init__(self):
        super().__init__()
        self.codes = nn.Parameter(torch.randn(10, 3))

    def forward(self, points):
        distances = (points[:, None] - self.codes).square().sum(-1)
        nearest = distances.argmin(dim=1)  # expect: GS301
        chosen = self.codes[nearest]
        return chosen, (chosen - points.detach()).square().mean()


torch.manual_seed(0)
encoder, quantiser, decoder = nn.Linear(7, 3), Quantiser(), nn.Linear(3, 7)
model = nn.ModuleList([encoder, quantiser, decoder])
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
data = torch.randn(48, 7)
for _ in range(12):
    chosen, commitment = quantiser(encoder(data))
    loss = (decoder(chosen) - data).square().mean() + commitment
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
