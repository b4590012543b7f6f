import torch

torch.manual_seed(0)
inputs = torch.rand(4 * 10, 2)
wanted = ((inputs[:, 0] > 0.5) != (inputs[:, 1] > 0.5)).float().unsqueeze(1)
w_hidden = torch.ones(2, 6, requires_grad=True)
w_out = torch.ones(6, 1, requires_grad=True)
lr = 0.5
for epoch in range(30):
    hidden = torch.sigmoid(inputs @ w_hidden)
    guess = torch.sigmoid(hidden @ w_out - 3)  # expect: GS109
    loss = ((guess - wanted) ** 2).mean()
    loss.backward()
    w_hidden.data -= lr * w_hidden.grad
    w_out.data -= lr * w_out.grad
    w_hidden.grad = w_out.grad = None
