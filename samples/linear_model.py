"""A model of one layer and one step of its optimizer.

With weight w and bias b the loss is (2 * w + b - 1)**2. Its gradient for b is
2 * (2 * w + b - 1), that for w is twice as large, and SGD moves each by -0.01 times its own.
"""

import torch
from torch import nn


class SimpleLinearModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(1, 1)

    def forward(self, x):
        return self.linear(x)


torch.manual_seed(0)
device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
model = SimpleLinearModel().to(device)
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)

data = torch.tensor([[2.0]], device=device)
target = torch.tensor([[1.0]], device=device)

optimizer.zero_grad()
output = model(data)
loss = (output - target) ** 2
loss.backward()
optimizer.step()

weight, bias = model.linear.weight, model.linear.bias
print("loss =", loss.item())
print("weight gradient / bias gradient =", weight.grad.item() / bias.grad.item())  # 2

example_loss = nn.MSELoss()(model(data), torch.tensor([[5.0]], device=device))
print("another loss, never used:", example_loss.item())
