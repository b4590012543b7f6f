import torch
from torch import nn


class Hashing(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Linear(10, 16)
        self.decoder = nn.Linear(16, 10)

    def forward(self, x):
        code = torch.sign(self.encoder(x))  # expect: GS303
        return self.decoder(code)


torch.manual_seed(0)
model = Hashing()
opt = torch.optim.Adam(model.parameters(), lr=1e-3)
for i in range(10):
    x = torch.randn(32, 10)
    loss = nn.functional.mse_loss(model(x), x)
    opt.zero_grad()
    loss.backward()
    opt.step()
