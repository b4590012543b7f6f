# fine-tuning: a new head, made after the optimizer
import torch
import torch.nn as nn

torch.manual_seed(0)


class Backbone(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.fc = nn.Linear(8, 100)

    def forward(self, x):
        x = torch.relu(self.conv(x)).mean((2, 3))
        return self.fc(x)


model = Backbone()
optimizer = torch.optim.SGD(model.parameters(), lr=0.01)  # expect: GS404
model.fc = nn.Linear(8, 5)
for epoch in range(6):
    for _ in range(2):
        images, labels = torch.randn(4, 3, 12, 12), torch.randint(0, 5, (4,))
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
