import torch
from torch import nn


class Detector(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.BatchNorm2d(8), nn.ReLU())
        self.boxes, self.classes = nn.Conv2d(8, 4, 1), nn.Conv2d(8, 3, 1)

    def forward(self, x):
        f = self.backbone(x)
        return self.boxes(f), self.classes(f)


torch.manual_seed(0)
net = Detector()
opt = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9, weight_decay=1e-4)
for _ in range(5):
    boxes, classes = net(torch.randn(2, 3, 13, 13))
    loss = nn.functional.smooth_l1_loss(boxes, torch.rand_like(boxes)) + nn.functional.cross_entropy(classes, torch.randint(0, 3, classes[:, 0].shape))
    opt.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(net.parameters(), 5.0)
    opt.step()
