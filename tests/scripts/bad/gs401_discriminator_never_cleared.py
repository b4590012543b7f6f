import torch
from torch import nn

torch.manual_seed(0)
gen = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 2))
disc = nn.Sequential(nn.Linear(2, 16), nn.LeakyReLU(), nn.Linear(16, 1))
optG = torch.optim.Adam(gen.parameters(), lr=1e-3)
optD = torch.optim.Adam(disc.parameters(), lr=1e-3)
bce = nn.BCEWithLogitsLoss()
for it in range(15):
    real = torch.randn(16, 2) + 3
    fake = gen(torch.randn(16, 2))
    d_loss = bce(disc(real), torch.ones(16, 1)) + bce(disc(fake.detach()), torch.zeros(16, 1))
    d_loss.backward()  # expect: GS401
    optD.step()

    optG.zero_grad()
    g_loss = bce(disc(fake), torch.ones(16, 1))
    g_loss.backward()
    optG.step()
