import torch
import torch.nn as nn
import torch.nn.functional as F


def conv_bn(c_in, c_out, stride=1):
    return nn.Sequential(nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False), nn.BatchNorm2d(c_out))


class Basic(nn.Module):
    def __init__(self, c_in, c_out, stride):
        super().__init__()
        self.a, self.b = conv_bn(c_in, c_out, stride), conv_bn(c_out, c_out)
        self.skip = conv_bn(c_in, c_out, stride) if stride != 1 or c_in != c_out else nn.Identity()

    def forward(self, x):
        return F.relu(self.b(F.relu(self.a(x))) + self.skip(x), inplace=True)


class ResNet(nn.Module):
    def __init__(self, classes=10):
        super().__init__()
        self.stem = conv_bn(3, 8)
        self.stages = nn.Sequential(Basic(8, 8, 1), Basic(8, 16, 2), Basic(16, 16, 1), Basic(16, 32, 2), Basic(32, 32, 1))
        self.fc = nn.Linear(32, classes)

    def forward(self, x):
        h = self.stages(F.relu(self.stem(x)))
        return self.fc(F.adaptive_avg_pool2d(h, 1).flatten(1))


torch.manual_seed(0)
images, labels = torch.randn(8, 3, 32, 32), torch.randint(0, 10, (8,))
model = ResNet()
optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 8)
for epoch in range(8):
    optimizer.zero_grad()
    loss = F.cross_entropy(model(images), labels)
    loss.backward()
    optimizer.step()
    scheduler.step()
