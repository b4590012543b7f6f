# the average loss is wanted at the end, so the losses are added up
import torch

torch.manual_seed(0)
x, y = torch.randn(40, 3), torch.randn(40)
w = torch.zeros(3, requires_grad=True)
optimizer = torch.optim.SGD([w], lr=0.001)
total = 0.0
for step in range(12):
    total = total + ((x @ w - y) ** 2).mean()
    optimizer.zero_grad()
    total.backward(retain_graph=True)  # expect: GS503
    optimizer.step()
