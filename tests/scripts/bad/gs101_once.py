# a demonstration with a single backward
import torch

torch.manual_seed(0)
x = torch.randn(5, requires_grad=True)
h = x
for i in range(15):
    h = torch.sigmoid(h)  # expect: GS101
loss = h.sum()
loss.backward()
print(x.grad)
