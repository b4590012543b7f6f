import torch
import torch.nn as nn

torch.manual_seed(0)


class SoftmaxRegression(nn.Module):
    def __init__(self, inputs, classes):
        super().__init__()
        self.linear = nn.Linear(inputs, classes)

    def forward(self, x):
        return self.linear(x)


model = SoftmaxRegression(4, 3)
optimizer = torch.optim.SGD(model.parameters(), lr=40.0, momentum=0.9)  # expect: GS409
criterion = nn.CrossEntropyLoss()
for step in range(60):
    inputs = torch.randn(24, 4)
    targets = (inputs[:, 0] + torch.randn(24) > 0).long() + (torch.rand(24) > 0.7).long()
    optimizer.zero_grad()
    loss = criterion(model(inputs), targets)
    loss.backward()
    optimizer.step()
