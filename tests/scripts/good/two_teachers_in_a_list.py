import torch
from torch import nn


class Student(nn.Module):
    def __init__(self, teachers):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(5, 12), nn.ReLU(), nn.Linear(12, 3))
        self.teachers = list(teachers)

    def forward(self, x):
        mean = sum(t(x).softmax(1) for t in self.teachers) / len(self.teachers)
        return nn.functional.kl_div(self.net(x).log_softmax(1), mean, reduction="batchmean")


torch.manual_seed(0)
student = Student(nn.Linear(5, 3) for _ in range(2))
opt = torch.optim.Adam(student.net.parameters(), lr=1e-2)
for _ in range(8):
    loss = student(torch.randn(16, 5))
    opt.zero_grad()
    loss.backward()
    opt.step()
