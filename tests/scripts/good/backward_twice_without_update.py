# a lesson on accumulation: nobody updates anything
import torch

x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
for i in range(3):
    y = (x ** 2).sum()
    y.backward()
    print(i, x.grad)
x.grad.zero_()
(x ** 3).sum().backward()
print(x.grad)
