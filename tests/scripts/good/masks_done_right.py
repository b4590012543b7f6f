"""Where, masked means, ignored targets and empty selections that stay finite."""
import torch
from torch import nn

torch.manual_seed(0)
net = nn.Linear(6, 5)
opt = torch.optim.SGD(net.parameters(), lr=0.05)
for step in range(12):
    x = torch.randn(10, 6)
    logits = net(x)
    labels = torch.randint(0, 5, (10,))
    labels[::2] = -100
    loss = nn.functional.cross_entropy(logits, labels)
    total = logits.relu().sum(1)
    positive = total > 0.5
    safe = torch.where(positive, total, torch.ones_like(total))
    loss = loss + torch.where(positive, safe.sqrt().log(), torch.zeros_like(total)).mean() * 0.01
    mask = (torch.rand(10) > (2.0 if step == 5 else 0.5)).float()
    loss = loss + (logits.pow(2).mean(1) * mask).sum() / mask.sum().clamp_min(1) * 0.01
    opt.zero_grad()
    loss.backward()
    opt.step()
