# the features are wrapped again
import torch
from torch import nn

torch.manual_seed(0)
encoder = nn.Sequential(nn.Linear(5, 16), nn.ReLU())
regressor = nn.Linear(16, 1)
opt = torch.optim.SGD([*encoder.parameters(), *regressor.parameters()], lr=0.01)


def features(batch):
    h = encoder(batch)
    return torch.tensor(h.tolist())  # expect: GS301


for _ in range(7):
    x = torch.randn(12, 5)
    loss = (regressor(features(x)) - x[:, :1]).square().mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
