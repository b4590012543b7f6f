"""A fixed network judges the result; it is not frozen, only left alone."""
import torch
from torch import nn

torch.manual_seed(0)
judge = nn.Sequential(nn.Conv2d(1, 6, 3), nn.ReLU(), nn.Conv2d(6, 12, 3), nn.ReLU()).eval()
painter = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 1, 3, padding=1))
opt = torch.optim.Adam(painter.parameters(), lr=1e-3)
noisy, clean = torch.rand(4, 1, 16, 16), torch.rand(4, 1, 16, 16)
with torch.no_grad():
    wanted = judge(clean)
for i in range(8):
    loss = nn.functional.mse_loss(judge(painter(noisy)), wanted)
    painter.zero_grad()
    loss.backward()
    opt.step()
