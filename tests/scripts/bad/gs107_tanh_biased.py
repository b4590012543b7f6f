import torch
import torch.nn as nn

torch.manual_seed(0)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.inp = nn.Linear(10, 64)
        self.hidden = nn.ModuleList([nn.Linear(64, 64) for _ in range(8)])
        self.out = nn.Linear(64, 2)
        for layer in self.hidden:
            nn.init.constant_(layer.bias, 3.0)  # deep in the flat part

    def forward(self, x):
        h = torch.tanh(self.inp(x))
        for layer in self.hidden:
            h = torch.tanh(layer(h))  # expect: GS107
        return self.out(h)


model = Net()
opt = torch.optim.Adam(model.parameters(), lr=1e-4)
for i in range(6):
    data = torch.randn(40, 10)
    loss = nn.functional.cross_entropy(model(data), (data[:, 0] > 0).long())
    opt.zero_grad(set_to_none=True)
    loss.backward()
    opt.step()
