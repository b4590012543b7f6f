import torch
from torch import nn, optim

torch.manual_seed(0)
widths = [64, 48, 40, 32, 32, 24, 16]
stack = []
for a, b in zip(widths, widths[1:]):
    stack.append(nn.Linear(a, b))
    stack.append(nn.Sigmoid())
model = nn.Sequential(*stack, nn.Linear(16, 4))
opt = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
x, y = torch.randn(50, 64), torch.randint(0, 4, (50,))
for epoch in range(10):
    opt.zero_grad()
    logits = model(x)  # expect: GS101
    loss = nn.CrossEntropyLoss()(logits, y)
    loss.backward()
    opt.step()
