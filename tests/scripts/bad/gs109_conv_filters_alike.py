import torch
from torch import nn

torch.manual_seed(0)


class Tiny(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(1, 8, 5, padding=2)
        self.out = nn.Linear(8, 1)
        for p in self.parameters():
            nn.init.constant_(p, 0.1)

    def forward(self, x):
        z = torch.relu(self.conv(x))  # expect: GS109
        return self.out(z.amax(2)).squeeze(1)


model = Tiny()
sgd = torch.optim.SGD(model.parameters(), lr=0.05)
for i in range(12):
    signal = torch.randn(16, 1, 20)
    loss = nn.functional.mse_loss(model(signal), signal.abs().amax((1, 2)))
    sgd.zero_grad()
    loss.backward()
    sgd.step()
