import torch
from torch import nn

torch.manual_seed(0)
generator = nn.Sequential(nn.Linear(10, 48), nn.ReLU(), nn.Linear(48, 24))
classifier = nn.Sequential(nn.Linear(24, 8), nn.ReLU(), nn.Linear(8, 4)).eval()  # trained elsewhere
opt = torch.optim.Adam(generator.parameters(), lr=1e-3)
for _ in range(8):
    wanted = torch.randint(0, 4, (16,))
    z = torch.cat([torch.randn(16, 6), nn.functional.one_hot(wanted, 4).float()], 1)
    loss = nn.functional.cross_entropy(classifier(generator(z)), wanted)
    opt.zero_grad()
    loss.backward()
    opt.step()
