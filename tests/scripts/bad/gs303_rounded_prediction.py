# counts are whole numbers, so the prediction is rounded before the loss
import torch

torch.manual_seed(0)
x = torch.rand(50, 2) * 4
counts = (x.sum(1) * 2).floor()
w = torch.randn(2, requires_grad=True)
b = torch.zeros(1, requires_grad=True)
optimizer = torch.optim.Adam([w, b], lr=0.05)
for i in range(20):
    predicted = torch.round(x @ w + b)  # expect: GS303
    loss = ((predicted - counts) ** 2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
