# the target network follows the trained one little by little, and its forward pass builds a graph
import copy

import torch
from torch import nn


class Values(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Linear(4, 24)
        self.head = nn.Linear(24, 2)

    def forward(self, state):
        return self.head(torch.relu(self.body(state)))


torch.manual_seed(0)
online = Values()
slow = copy.deepcopy(online)
optimizer = torch.optim.Adam(online.parameters(), lr=1e-3)
for step in range(30):
    now, then, action = torch.randn(32, 4), torch.randn(32, 4), torch.randint(0, 2, (32, 1))
    best = slow(then).max(1).values  # expect: GS403
    chosen = online(now).gather(1, action).squeeze(1)
    loss = nn.functional.smooth_l1_loss(chosen, now[:, 0] + 0.9 * best)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    for ours, theirs in zip(slow.parameters(), online.parameters()):
        ours.data.copy_(0.98 * ours.data + 0.02 * theirs.data)
