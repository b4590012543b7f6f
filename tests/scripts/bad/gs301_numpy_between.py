import torch
from torch import nn


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(6, 12)
        self.classify = nn.Linear(12, 3)

    def forward(self, x):
        feats = torch.relu(self.embed(x))
        feats = torch.from_numpy(feats.detach().numpy().copy())  # expect: GS301
        return self.classify(feats)


torch.manual_seed(0)
model = Model()
opt = torch.optim.Adam(model.parameters(), lr=1e-3)
for i in range(6):
    x, y = torch.randn(10, 6), torch.randint(0, 3, (10,))
    opt.zero_grad()
    nn.CrossEntropyLoss()(model(x), y).backward()
    opt.step()
