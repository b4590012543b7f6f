# an autoencoder whose optimizer was given the decoder alone
import torch
from torch import nn

torch.manual_seed(0)
encoder = nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 4))
decoder = nn.Sequential(nn.Linear(4, 32), nn.ReLU(), nn.Linear(32, 20))
opt = torch.optim.Adam(decoder.parameters(), lr=1e-3)
for step in range(10):
    x = torch.randn(16, 20)
    z = encoder(x)  # expect: GS403
    loss = (decoder(z) - x).pow(2).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
