import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, SWALR, update_bn

torch.manual_seed(0)
model = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3))
swa = AveragedModel(model)
opt = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
sched = torch.optim.lr_scheduler.CosineAnnealingLR(opt, T_max=5)
swa_sched = SWALR(opt, swa_lr=opt.param_groups[0]["lr"] / 2)
X, Y = torch.randn(64, 8), torch.randint(0, 3, (64,))
loader = [(X[i:i + 16], Y[i:i + 16]) for i in range(0, 64, 16)]
for epoch in range(6):
    for xb, yb in loader:
        opt.zero_grad()
        nn.functional.cross_entropy(model(xb), yb).backward()
        opt.step()
    if epoch >= 4:
        swa.update_parameters(model)
        swa_sched.step()
    else:
        sched.step()
update_bn([xb for xb, _ in loader], swa)
