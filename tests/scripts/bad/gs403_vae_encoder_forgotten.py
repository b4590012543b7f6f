import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(0)
body = nn.Conv2d(1, 4, 3, stride=2, padding=1)
mu, logvar = nn.Linear(64, 3), nn.Linear(64, 3)
generator = nn.Sequential(nn.Linear(3, 40), nn.Tanh(), nn.Linear(40, 64))
torch.nn.init.kaiming_normal_(mu.weight)
nn.init.xavier_uniform_(logvar.weight)
optim = torch.optim.RMSprop(generator.parameters(), lr=1e-3)


def elbo(image):
    h = torch.relu(body(image)).flatten(1)
    m, s = mu(h), logvar(h)  # expect: GS403
    z = m + torch.randn_like(m) * (s / 2).exp()
    fit = F.mse_loss(generator(z), image.flatten(1))
    return fit + 1e-3 * (m**2 + s.exp() - 1 - s).mean()


for batch in range(8):
    loss = elbo(torch.rand(8, 1, 8, 8))
    optim.zero_grad()
    loss.backward()
    optim.step()
