import torch
from torch import nn


class Mixture(nn.Module):
    def __init__(self, k=4, d=6):
        super().__init__()
        self.means = [nn.Parameter(torch.randn(d)) for _ in range(k)]
        self.log_scale = nn.Parameter(torch.zeros(d))
        self.logits = nn.Parameter(torch.zeros(k))

    def forward(self, x):
        z = torch.stack([((x - m) / self.log_scale.exp()).pow(2).sum(1) for m in self.means], 1)  # expect: GS403
        return torch.logsumexp(torch.log_softmax(self.logits, 0) - 0.5 * z - self.log_scale.sum(), 1)


torch.manual_seed(0)
model = Mixture()
opt = torch.optim.Adam(model.parameters(), lr=1e-2)
for _ in range(12):
    loss = -model(torch.randn(32, 6)).mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
