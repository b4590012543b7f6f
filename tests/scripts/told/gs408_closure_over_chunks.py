# unscaled: a factor of the loss is what it lacks
import torch
import torch.nn.functional as F

torch.manual_seed(0)
w1 = torch.nn.Parameter(torch.randn(6, 12) * 0.3)
w2 = torch.nn.Parameter(torch.randn(12, 1) * 0.3)
optimizer = torch.optim.Adam([w1, w2], lr=1e-3)


def accumulate(chunks):
    for chunk in chunks:
        F.mse_loss(torch.relu(chunk @ w1) @ w2, chunk[:, :1]).backward()  # expect: GS408


for step in range(6):
    optimizer.zero_grad()
    accumulate(torch.randn(24, 6).chunk(3))
    optimizer.step()
