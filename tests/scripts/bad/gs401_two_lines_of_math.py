import torch as th

th.manual_seed(0)
A = th.randn(20, 3)
target = A @ th.tensor([1.0, 2.0, 3.0])
theta = th.zeros(3, requires_grad=True)
lr = 1e-3
history = []
for k in range(30):
    err = (A @ theta - target).pow(2).mean()
    err.backward()  # expect: GS401
    theta.data -= lr * theta.grad.data
    history.append(err.item())
