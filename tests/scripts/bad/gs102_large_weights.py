import torch
import torch.nn as nn

torch.manual_seed(0)


class Wide(nn.Module):
    def __init__(self):
        super().__init__()
        self.fcs = nn.ModuleList([nn.Linear(64, 64) for _ in range(8)])
        self.out = nn.Linear(64, 1)
        for fc in self.fcs:
            nn.init.normal_(fc.weight, std=1.0)

    def forward(self, x):
        for fc in self.fcs:
            x = torch.relu(fc(x))  # expect: GS102
        return self.out(x)


model = Wide()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-5)
for step in range(6):
    x = torch.randn(16, 64)
    loss = nn.functional.mse_loss(model(x), torch.ones(16, 1))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
