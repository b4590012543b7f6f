import torch

# derivatives of derivatives: the graph grows because it must
x = torch.tensor(0.7, requires_grad=True)
f = torch.exp(torch.sin(x))
terms = [f.item()]
for n in range(6):
    (f,) = torch.autograd.grad(f, x, create_graph=True)
    terms.append(f.item())
print(terms)
