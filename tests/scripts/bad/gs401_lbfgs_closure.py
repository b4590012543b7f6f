import torch
import torch.nn as nn

torch.manual_seed(0)
model = nn.Linear(4, 1)
x, y = torch.randn(30, 4), torch.randn(30, 1)
optimizer = torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=4)


def closure():
    loss = nn.functional.mse_loss(model(x), y)
    loss.backward()  # expect: GS401
    return loss


for epoch in range(6):
    optimizer.step(closure)
