"""A recurrence whose weight is too large: the gradient grows at every step back in time.

Each of the 30 steps multiplies by the same matrix, whose entries are drawn about twice as wide as
they should be. Finding: GS103. Clipping hides it; a smaller or orthogonal start mends it.
"""

import torch
from torch import nn


class Recurrence(nn.Module):
    def __init__(self, width=16):
        super().__init__()
        self.W = nn.Parameter(torch.randn(width, width) * 3 / width**0.5)
        self.head = nn.Linear(width, 1)

    def forward(self, sequence):
        h = torch.zeros_like(sequence[0])
        for x in sequence:
            h = torch.relu(h @ self.W + x)
        return self.head(h)


torch.manual_seed(0)
net = Recurrence()
optimizer = torch.optim.Adam(net.parameters(), lr=1e-4)
sequence = torch.randn(30, 8, 16)
targets = torch.randn(8, 1)

for _ in range(10):
    optimizer.zero_grad()
    loss = nn.functional.mse_loss(net(sequence), targets)
    loss.backward()
    optimizer.step()

print(f"loss {loss.item():.1e}, gradient norm of W {net.W.grad.norm():.1e}")
