# the very first batches push most units below 0 for good
import torch

torch.manual_seed(0)
data = torch.rand(200, 8)
target = 3 * data.sum(1, keepdim=True) - 30
W1 = (torch.randn(8, 96) * 0.5).requires_grad_()
b1 = torch.zeros(96, requires_grad=True)
W2 = (torch.randn(96, 1) * 0.1 + 0.15).requires_grad_()
b2 = torch.zeros(1, requires_grad=True)
optimizer = torch.optim.Adam([W1, b1, W2, b2], lr=0.3)
for it in range(60):
    pick = torch.randint(0, 200, (50,))
    h = (data[pick] @ W1 + b1).clamp(min=0)  # expect: GS106
    out = h @ W2 + b2
    loss = torch.nn.functional.mse_loss(out, target[pick])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if it == 2:
        optimizer.param_groups[0]["lr"] = 0.01
