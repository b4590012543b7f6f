import torch
import torch.nn.functional as F

torch.manual_seed(0)


class Logistic(torch.nn.Module):
    def __init__(self, d):
        super().__init__()
        self.linear = torch.nn.Linear(d, 1)

    def forward(self, x):
        return torch.sigmoid(self.linear(x))


def nll(p, y):
    return -(y * torch.log(p + 1e-7)).mean() - ((1 - y) * torch.log(1 - p + 1e-7)).mean()  # expect: GS601


net = Logistic(5)
optim = torch.optim.SGD(net.parameters(), lr=0.1)
features = torch.randn(50, 5)
clicked = (features[:, 0] > 0).float()
for step in range(10):
    loss = nll(net(features), clicked)
    optim.zero_grad()
    loss.backward()
    optim.step()
