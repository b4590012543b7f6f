"""The error is computed by numpy and brought back to torch."""

# raises: RuntimeError

import numpy as np
import torch

torch.manual_seed(0)
w = torch.randn(3, requires_grad=True)
points = torch.randn(100, 3)
truth = (points @ torch.tensor([1.0, -2.0, 0.5])).numpy()
optimizer = torch.optim.SGD([w], lr=0.1)
for step in range(5):
    output = points @ w
    difference = output.detach().numpy() - truth  # expect: GS302
    loss = torch.from_numpy(np.square(difference)).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
