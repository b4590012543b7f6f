import torch
from torch import nn

torch.manual_seed(0)
trunk, pi, v = nn.Sequential(nn.Linear(4, 16), nn.Tanh()), nn.Linear(16, 2), nn.Linear(16, 1)
opt = torch.optim.RMSprop([p for m in (trunk, pi, v) for p in m.parameters()], lr=1e-3)
for _ in range(10):
    s = torch.randn(20, 4)
    h = trunk(s)
    dist = torch.distributions.Categorical(logits=pi(h))
    act = dist.sample()
    ret = (act == (s[:, 0] > 0).long()).float()
    value = v(h).squeeze(1)
    advantage = ret - value
    loss = -(dist.log_prob(act) * advantage.detach()).mean() + 0.5 * advantage.pow(2).mean() - 0.01 * dist.entropy().mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
