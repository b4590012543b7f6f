import torch

# y = W * x + b, the very first example
x = torch.tensor(1.0, requires_grad=True)
W = torch.tensor(2.0, requires_grad=True)
b = torch.tensor(3.0, requires_grad=True)

y = W * x + b
y.backward()
print(x.grad, W.grad, b.grad)
