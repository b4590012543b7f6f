import torch
import torch.nn as nn


class Student(nn.Module):
    def __init__(self, teacher):
        super().__init__()
        self.body = nn.Linear(6, 12)
        self.head = nn.Linear(12, 3)
        self.teacher = [teacher]  # hidden from parameters()

    def forward(self, x):
        return self.head(torch.relu(self.body(x)))

    def loss(self, x):
        soft = torch.softmax(self.teacher[0](x), 1)
        return nn.functional.kl_div(torch.log_softmax(self(x), 1), soft, reduction="batchmean")


torch.manual_seed(0)
student = Student(nn.Sequential(nn.Linear(6, 32), nn.ReLU(), nn.Linear(32, 3)))
opt = torch.optim.SGD(student.parameters(), lr=0.1)
for i in range(8):
    loss = student.loss(torch.randn(16, 6))
    opt.zero_grad()
    loss.backward()
    opt.step()
