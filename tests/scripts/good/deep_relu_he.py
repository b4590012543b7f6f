import torch
import torch.nn as nn

torch.manual_seed(0)
WIDTHS = [20, 128, 96, 64, 64, 128, 32, 96, 64, 64, 48, 32, 1]
layers = []
for fan_in, fan_out in zip(WIDTHS[:-1], WIDTHS[1:]):
    linear = nn.Linear(fan_in, fan_out)
    nn.init.kaiming_normal_(linear.weight, nonlinearity="relu")
    nn.init.zeros_(linear.bias)
    layers += [linear, nn.ReLU()]
net = nn.Sequential(*layers[:-1])
x = torch.randn(64, 20)
y = torch.sin(x.sum(1, keepdim=True))
optim = torch.optim.Adam(net.parameters(), lr=3e-4)
for i in range(30):
    optim.zero_grad()
    loss = nn.functional.smooth_l1_loss(net(x), y)
    loss.backward()
    optim.step()
