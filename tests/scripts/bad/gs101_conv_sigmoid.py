import torch
import torch.nn as nn
import torch.nn.functional as F


class ConvNet(nn.Module):
    def __init__(self):
        super().__init__()
        chans = [3, 8, 8, 12, 12, 16, 16]
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in zip(chans, chans[1:]))
        self.fc = nn.Linear(16, 5)

    def forward(self, x):
        for i, conv in enumerate(self.convs):
            x = F.sigmoid(conv(x))  # expect: GS101
            if i % 2:
                x = F.max_pool2d(x, 2)
        return self.fc(x.mean((2, 3)))


torch.manual_seed(0)
cnn = ConvNet()
trainer = torch.optim.AdamW(cnn.parameters(), lr=1e-3)
pictures, classes = torch.rand(6, 3, 16, 16), torch.randint(0, 5, (6,))
for _ in range(5):
    trainer.zero_grad()
    F.cross_entropy(cnn(pictures), classes).backward()
    trainer.step()
