import torch

torch.manual_seed(0)
q = torch.randn(12, requires_grad=True)
for step in range(12):
    r = q.view(4, 3)
    d = (r.unsqueeze(0) - r.unsqueeze(1)).pow(2).sum(-1) + torch.eye(4)
    energy = (1 / d).sum() + d.sum() * 0.1
    energy.backward(create_graph=True)
    force = -q.grad
    q.grad = None
