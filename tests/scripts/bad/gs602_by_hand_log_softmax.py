import torch

torch.manual_seed(0)
X, Y = torch.randn(50, 6), torch.randint(0, 3, (50,))
W = torch.zeros(6, 3, requires_grad=True)
for step in range(10):
    probs = (X @ W).softmax(-1)  # expect: GS602
    loss = -probs.log_softmax(-1).gather(1, Y[:, None]).mean()
    loss.backward()
    with torch.no_grad():
        W -= 0.5 * W.grad
        W.grad = None
