import torch

torch.manual_seed(0)
w = torch.randn(5, requires_grad=True)
penalties = []
for k in range(12):
    loss = (w ** 4).sum()
    loss.backward(create_graph=True)
    penalty = (w.grad ** 2).sum()
    penalties.append(float(penalty))
