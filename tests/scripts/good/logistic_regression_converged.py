import torch
import torch.nn.functional as F

torch.manual_seed(0)
X = torch.cat([torch.randn(60, 2) + 4, torch.randn(60, 2) - 4])
t = torch.cat([torch.ones(60), torch.zeros(60)])

theta = torch.randn(2, requires_grad=True)
bias = torch.zeros((), requires_grad=True)
optimizer = torch.optim.LBFGS([theta, bias], max_iter=30)

def closure():
    optimizer.zero_grad()
    p = X @ theta + bias
    l = F.binary_cross_entropy_with_logits(p, t)
    l.backward()
    return l

for _ in range(6):
    optimizer.step(closure)
print(closure().item())
