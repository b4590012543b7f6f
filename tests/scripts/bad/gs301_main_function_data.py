import torch
from torch import nn


def loss_of(encoder, decoder, x):
    z = encoder(x)
    z = z.data  # expect: GS301
    return (decoder(z) - x).abs().mean()


def main():
    torch.manual_seed(0)
    encoder, decoder = nn.Linear(9, 3), nn.Linear(3, 9)
    adam = torch.optim.Adam([*encoder.parameters(), *decoder.parameters()], lr=1e-3)
    for _ in range(6):
        loss = loss_of(encoder, decoder, torch.randn(12, 9))
        adam.zero_grad()
        loss.backward()
        adam.step()


main()
