"""A support vector machine: once every margin is reached the hinge loss gives no gradient."""
import torch

torch.manual_seed(0)
x = torch.cat([torch.randn(40, 2) * 0.3 + 2, torch.randn(40, 2) * 0.3 - 2])
y = torch.cat([torch.ones(40), -torch.ones(40)])
w = torch.zeros(2, requires_grad=True)
b = torch.zeros(1, requires_grad=True)
scale = torch.ones(1, requires_grad=True)
optimizer = torch.optim.SGD([w, b, scale], lr=0.5)
for epoch in range(40):
    margin = y * (x @ w + b)
    hinge = torch.relu(1 - margin).mean()
    loss = hinge + 0.01 * (scale - 2).pow(2).sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
