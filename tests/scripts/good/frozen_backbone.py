import torch
import torch.nn as nn

torch.manual_seed(0)
backbone = nn.Sequential(*[m for _ in range(9) for m in (nn.Linear(24, 24), nn.Tanh())])
backbone.requires_grad_(False).eval()
head = nn.Linear(24, 4)
opt = torch.optim.Adam(head.parameters(), lr=1e-2)
x, y = torch.randn(40, 24), torch.randint(0, 4, (40,))
for epoch in range(25):
    with torch.no_grad():
        features = backbone(x)
    loss = nn.functional.cross_entropy(head(features), y)
    opt.zero_grad()
    loss.backward()
    opt.step()
