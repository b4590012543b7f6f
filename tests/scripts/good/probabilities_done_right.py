"""Softmax and sigmoid in many places, and none of them twice."""
import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(0)
q, k, v, out = (nn.Linear(12, 12) for _ in range(4))
gate = nn.Linear(12, 1)
params = [p for m in (q, k, v, out, gate) for p in m.parameters()]
opt = torch.optim.Adam(params, lr=2e-3)
x, y = torch.randn(6, 9, 12), torch.randint(0, 12, (6,))
teacher = torch.softmax(torch.randn(6, 12), 1)
for it in range(10):
    att = torch.softmax(q(x) @ k(x).transpose(1, 2) / 12**0.5, -1)
    pooled = (att @ v(x)).mean(1)
    logits = out(pooled)
    ce = F.cross_entropy(logits, y)
    nll = -torch.log(torch.softmax(logits, 1).clamp_min(1e-8))[torch.arange(6), y].mean()
    kd = F.kl_div(F.log_softmax(logits / 2, 1), teacher, reduction="batchmean")
    sig = torch.sigmoid(gate(pooled))
    loss = ce + 0.1 * nll + 0.1 * kd + F.binary_cross_entropy(sig, (y > 5).float().unsqueeze(1))
    loss = loss + 0.1 * F.cross_entropy(logits * sig, y)
    opt.zero_grad()
    loss.backward()
    opt.step()
