import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(0)
teacher = nn.Sequential(nn.Linear(9, 40), nn.ReLU(), nn.Linear(40, 4))
student = nn.Sequential(nn.Linear(9, 8), nn.ReLU(), nn.Linear(8, 4))
opt = torch.optim.SGD(student.parameters(), lr=0.2)
T = 3.0
for i in range(15):
    x = torch.randn(32, 9)
    wanted = teacher(x)
    loss = F.kl_div(F.log_softmax(student(x) / T, 1), F.softmax(wanted.detach() / T, 1), reduction="batchmean") * T * T
    opt.zero_grad()
    loss.backward()
    opt.step()
