import torch
import torch.nn as nn


def init(m):
    if isinstance(m, nn.Linear):
        nn.init.normal_(m.weight, mean=0.0, std=0.01)
        nn.init.zeros_(m.bias)


torch.manual_seed(0)
mlp = nn.Sequential(
    nn.Linear(30, 60), nn.ReLU(),
    nn.Linear(60, 60), nn.ReLU(),
    nn.Linear(60, 60), nn.ReLU(),
    nn.Linear(60, 60), nn.ReLU(),
    nn.Linear(60, 60), nn.ReLU(),
    nn.Linear(60, 1),
)
mlp.apply(init)
opt = torch.optim.SGD(mlp.parameters(), lr=0.01)
X = torch.randn(100, 30)
Y = X.abs().mean(1, keepdim=True)
for epoch in range(10):
    opt.zero_grad()
    out = mlp(X)  # expect: GS101
    loss = nn.MSELoss()(out, Y)
    loss.backward()
    opt.step()
