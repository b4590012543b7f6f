import torch

torch.manual_seed(0)
x = torch.tensor(1.5, requires_grad=True)
y = torch.sin(x) * torch.exp(x)
for order in range(6):
    x.grad = None
    y.backward(create_graph=True)
    y = x.grad.clone()
