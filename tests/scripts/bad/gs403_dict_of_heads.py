import torch
from torch import nn

torch.manual_seed(0)


class TwoHeads(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(7, 16), nn.Tanh())
        self.heads = {"age": nn.Linear(16, 1), "weight": nn.Linear(16, 1)}

    def forward(self, x):
        z = self.trunk(x)
        return {name: head(z) for name, head in self.heads.items()}  # expect: GS403


model = TwoHeads()
sgd = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9)
for i in range(12):
    x = torch.randn(16, 7)
    out = model(x)
    loss = (out["age"] - x[:, :1]).pow(2).mean() + (out["weight"] - x[:, 1:2]).pow(2).mean()
    sgd.zero_grad()
    loss.backward()
    sgd.step()
