"""Without zero_grad and with a bold learning rate the summed gradients throw the weights away."""
import torch

torch.manual_seed(0)
x = torch.randn(64, 10)
y = x @ torch.randn(10, 1)
model = torch.nn.Sequential(torch.nn.Linear(10, 32), torch.nn.ReLU(), torch.nn.Linear(32, 1))
opt = torch.optim.SGD(model.parameters(), lr=0.15)
for it in range(40):
    loss = (model(x) - y).pow(2).mean()
    loss.backward()  # expect: GS401
    opt.step()
