import torch
import torch.nn as nn

torch.manual_seed(0)
G = nn.Sequential(nn.Linear(4, 32), nn.LeakyReLU(0.2), nn.Linear(32, 32), nn.LeakyReLU(0.2), nn.Linear(32, 2))
D = nn.Sequential(nn.Linear(2, 32), nn.LeakyReLU(0.2), nn.Linear(32, 32), nn.LeakyReLU(0.2), nn.Linear(32, 1), nn.Sigmoid())
opt_g = torch.optim.Adam(G.parameters(), lr=2e-4, betas=(0.5, 0.999))
opt_d = torch.optim.Adam(D.parameters(), lr=2e-4, betas=(0.5, 0.999))
bce = nn.BCELoss()
real_label, fake_label = torch.ones(16, 1), torch.zeros(16, 1)
for it in range(25):
    real = torch.randn(16, 2) * 0.5 + 2
    D.zero_grad()
    bce(D(real), real_label).backward()
    fake = G(torch.randn(16, 4))
    bce(D(fake.detach()), fake_label).backward()
    opt_d.step()

    G.zero_grad()
    g_loss = bce(D(fake), real_label)
    g_loss.backward()  # also fills D's gradients; D.zero_grad() clears them
    opt_g.step()
