import copy

import torch
import torch.nn as nn

torch.manual_seed(0)


def mlp(i, o):
    return nn.Sequential(nn.Linear(i, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, o))


actor, q1, q2 = mlp(3, 2), mlp(4, 1), mlp(4, 1)
t1, t2 = copy.deepcopy(q1), copy.deepcopy(q2)
log_alpha = torch.zeros(1, requires_grad=True)
opt_a = torch.optim.Adam(actor.parameters(), 1e-3)
opt_q = torch.optim.Adam([*q1.parameters(), *q2.parameters()], 1e-3)
opt_alpha = torch.optim.Adam([log_alpha], 1e-3)


def act(s):
    mean, log_std = actor(s).chunk(2, -1)
    d = torch.distributions.Normal(mean, log_std.clamp(-4, 1).exp())
    u = d.rsample()
    a = torch.tanh(u)
    return a, (d.log_prob(u) - torch.log(1 - a ** 2 + 1e-6)).sum(-1, keepdim=True)


for step in range(10):
    s, s2 = torch.randn(32, 3), torch.randn(32, 3)
    a = torch.rand(32, 1) * 2 - 1
    r = -(s[:, :1] - a) ** 2
    alpha = log_alpha.exp().detach()
    with torch.no_grad():
        a2, lp2 = act(s2)
        sa2 = torch.cat([s2, a2], 1)
        target = r + 0.9 * (torch.min(t1(sa2), t2(sa2)) - alpha * lp2)
    sa = torch.cat([s, a], 1)
    q_loss = (q1(sa) - target).pow(2).mean() + (q2(sa) - target).pow(2).mean()
    opt_q.zero_grad()
    q_loss.backward()
    opt_q.step()
    pa, lp = act(s)
    qpi = torch.min(q1(torch.cat([s, pa], 1)), q2(torch.cat([s, pa], 1)))
    actor_loss = (alpha * lp - qpi).mean()
    opt_a.zero_grad()
    actor_loss.backward()
    opt_a.step()
    alpha_loss = -(log_alpha * (lp + -1.0).detach()).mean()
    opt_alpha.zero_grad()
    alpha_loss.backward()
    opt_alpha.step()
    with torch.no_grad():
        for t, q in ((t1, q1), (t2, q2)):
            for tp, p in zip(t.parameters(), q.parameters()):
                tp.mul_(0.99).add_(p, alpha=0.01)
