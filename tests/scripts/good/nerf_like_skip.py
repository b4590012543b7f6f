import torch
import torch.nn as nn

torch.manual_seed(0)

def encode(x, bands=6):
    return torch.cat([x] + [f(2.0 ** k * x) for k in range(bands) for f in (torch.sin, torch.cos)], -1)

class Field(nn.Module):
    """Eight layers with PyTorch's default weights and one skip, as in the NeRF paper."""
    def __init__(self, d=39, w=64):
        super().__init__()
        self.first = nn.ModuleList([nn.Linear(d, w)] + [nn.Linear(w, w) for _ in range(3)])
        self.second = nn.ModuleList([nn.Linear(w + d, w)] + [nn.Linear(w, w) for _ in range(2)])
        self.sigma, self.rgb = nn.Linear(w, 1), nn.Linear(w, 3)

    def forward(self, p):
        e = encode(p)
        h = e
        for layer in self.first:
            h = torch.relu(layer(h))
        h = torch.cat([h, e], -1)
        for layer in self.second:
            h = torch.relu(layer(h))
        return torch.sigmoid(self.rgb(h)), torch.relu(self.sigma(h))

field = Field()
opt = torch.optim.Adam(field.parameters(), lr=1e-3)
rays = torch.rand(32, 16, 3)
pixels = torch.rand(32, 3)
for step in range(20):
    rgb, sigma = field(rays)
    alpha = 1 - torch.exp(-sigma.squeeze(-1) * 0.1)
    trans = torch.cumprod(torch.cat([torch.ones(32, 1), 1 - alpha + 1e-10], 1), 1)[:, :-1]
    image = (rgb * (alpha * trans).unsqueeze(-1)).sum(1)
    loss = ((image - pixels) ** 2).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
