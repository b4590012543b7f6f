"""A momentum target that is a part of the module, so that the optimizer holds it as well."""

import torch
from torch import nn

torch.manual_seed(0)


class Learner(nn.Module):
    def __init__(self):
        super().__init__()
        self.online, self.predict = nn.Linear(10, 8), nn.Linear(8, 8)
        self.target = nn.Linear(10, 8)
        self.target.load_state_dict(self.online.state_dict())

    @torch.no_grad()
    def follow(self):
        for new, old in zip(self.online.parameters(), self.target.parameters()):
            old.data.mul_(0.99).add_(new.data, alpha=0.01)

    def forward(self, x):
        guess = self.predict(self.online(x))
        with torch.no_grad():
            self.follow()
            wanted = self.target(x)
        return (guess - wanted).square().mean()


learner = Learner()
optimizer = torch.optim.Adam(learner.parameters(), lr=1e-3)
for _ in range(10):
    loss = learner(torch.randn(24, 10))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
