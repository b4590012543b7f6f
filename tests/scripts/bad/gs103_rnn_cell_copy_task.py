import torch
from torch import nn


class Memory(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(10, 12)
        self.cell = nn.RNNCell(12, 24)
        self.read = nn.Linear(24, 10)

    def forward(self, tokens):
        h = torch.zeros(tokens.shape[0], 24)
        for token in tokens.unbind(1):
            h = self.cell(self.embed(token), h)  # expect: GS103
        return self.read(h)


torch.manual_seed(0)
net = Memory()
opt = torch.optim.Adam(net.parameters(), lr=1e-3)
for step in range(5):
    tokens = torch.randint(0, 10, (8, 50))
    opt.zero_grad()
    nn.functional.cross_entropy(net(tokens), tokens[:, 0]).backward()
    opt.step()
