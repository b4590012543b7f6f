# only looks at curvature: create_graph in a loop, nothing is ever updated
import torch

torch.manual_seed(0)
w = torch.randn(6, requires_grad=True)
A = torch.randn(6, 6)
for k in range(6):
    v = torch.randn(6)
    loss = ((A @ w).tanh() ** 2).sum()
    (g,) = torch.autograd.grad(loss, w, create_graph=True)
    (hv,) = torch.autograd.grad(g @ v, w)
    loss.detach_()
    loss2 = ((A @ w) ** 2).sum()
    loss2.backward(create_graph=True)
    w.grad = None
