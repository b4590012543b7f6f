import copy
import torch
from torch import nn

torch.manual_seed(0)
student = nn.Sequential(nn.Linear(12, 48), nn.BatchNorm1d(48), nn.ReLU(), nn.Linear(48, 16))
predictor = nn.Linear(16, 16)
teacher = copy.deepcopy(student).requires_grad_(False)
opt = torch.optim.AdamW([*student.parameters(), *predictor.parameters()], lr=1e-3)
data = torch.randn(64, 12)
for epoch in range(20):
    a, b = data + 0.1 * torch.randn_like(data), data + 0.1 * torch.randn_like(data)
    p = nn.functional.normalize(predictor(student(a)), dim=1)
    t = nn.functional.normalize(teacher(b), dim=1)
    loss = 2 - 2 * (p * t).sum(1).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
    with torch.no_grad():
        for old, new in zip(teacher.parameters(), student.parameters()):
            old.mul_(0.99).add_(new, alpha=0.01)
