import torch
from torch import nn

torch.manual_seed(0)
net = nn.ModuleDict({"stem": nn.Linear(6, 24), "policy": nn.Linear(24, 3), "value": nn.Linear(24, 1)})
opt = torch.optim.AdamW([{"params": net["stem"].parameters(), "lr": 1e-3}, {"params": [*net["policy"].parameters(), *net["value"].parameters()], "lr": 3e-3}])
sched = torch.optim.lr_scheduler.OneCycleLR(opt, max_lr=[1e-3, 3e-3], total_steps=12)
for i in range(10):
    s = torch.randn(32, 6)
    h = torch.tanh(net["stem"](s))
    logp = net["policy"](h).log_softmax(-1)
    a = torch.multinomial(logp.exp(), 1)
    r = (a.squeeze(1) == (s[:, 0] > 0).long()).float()
    v = net["value"](h).squeeze(1)
    loss = -(logp.gather(1, a).squeeze(1) * (r - v).detach()).mean() + (v - r).pow(2).mean()
    opt.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(net.parameters(), 0.5)
    opt.step()
    sched.step()
