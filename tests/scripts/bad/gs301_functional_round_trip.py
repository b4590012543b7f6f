import numpy as np
import torch

torch.manual_seed(0)
W1 = torch.randn(6, 12, requires_grad=True)
W2 = torch.randn(12, 1, requires_grad=True)
opt = torch.optim.SGD([W1, W2], lr=0.01)
for i in range(6):
    x = torch.randn(16, 6)
    h = (x @ W1).clamp(min=0)
    h = torch.as_tensor(np.log1p(h.detach().numpy()))  # expect: GS301
    loss = (h @ W2 - x[:, :1]).pow(2).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
