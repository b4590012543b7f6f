"""Networks under no_grad() that the optimizer holds, on purpose: trained elsewhere, or a target."""

import torch
import torch.nn.functional as F
from torch import nn

torch.manual_seed(0)
data = torch.randn(200, 3) @ torch.randn(3, 10)


class Probe(nn.Module):
    """An extractor whose weights come from elsewhere, here from the principal components."""

    def __init__(self):
        super().__init__()
        self.extractor, self.head = nn.Linear(10, 8), nn.Linear(8, 2)
        self.extractor.load_state_dict(
            {"weight": torch.linalg.svd(data)[2][:8], "bias": torch.zeros(8)}
        )

    def forward(self, x):
        with torch.no_grad():
            h = self.extractor(x)
        return self.head(h.relu())


class Novelty(nn.Module):
    """What the predictor cannot foretell of a random network is new."""

    def __init__(self):
        super().__init__()
        self.target, self.predictor = nn.Linear(10, 8), nn.Linear(10, 8)

    def forward(self, x):
        with torch.no_grad():
            target = self.target(x).tanh()
        return (self.predictor(x) - target).square().mean()


probe, novelty = Probe(), Novelty()
optimizer = torch.optim.Adam([*probe.parameters(), *novelty.parameters()], lr=1e-2)
for _ in range(12):
    x = data[torch.randint(0, 200, (40,))]
    loss = F.cross_entropy(probe(x), (x[:, 0] > 0).long()) + novelty(x)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

body, head = nn.Linear(10, 6), nn.Linear(6, 1)
optimizer = torch.optim.SGD([*body.parameters(), *head.parameters()], lr=1e-2)
with torch.no_grad():
    features = body(data).relu()  # once: these are fixed from here on
for _ in range(12):
    loss = (head(features) - data[:, :1]).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
