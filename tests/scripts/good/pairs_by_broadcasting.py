"""Tables of all pairs on purpose: a ranking loss, a kernel distance, outer products, a bias."""
import torch
from torch import nn

torch.manual_seed(0)
scorer = nn.Sequential(nn.Linear(6, 16), nn.ReLU(), nn.Linear(16, 1))
frequencies = nn.Parameter(torch.rand(24) * 3)
opt = torch.optim.Adam([*scorer.parameters(), frequencies], lr=1e-3)


def kernel(a, b):
    return torch.exp(-((a[:, None] - b[None, :]) ** 2).sum(-1))


for step in range(10):
    x = torch.randn(24, 6)
    relevance = x[:, 0]
    score = scorer(x).squeeze(1)
    wanted = (relevance.unsqueeze(1) > relevance.unsqueeze(0)).float()
    margin = score.unsqueeze(1) - score
    ranking = (wanted * torch.relu(1 - margin)).mean()
    sample = x * score.unsqueeze(1)
    mmd = kernel(sample, sample).mean() - 2 * kernel(sample, torch.randn(24, 6)).mean()
    waves = torch.sin(score.reshape(-1, 1) * frequencies)
    logits = x @ x.T * 0.1 + score[:, None]
    contrast = nn.functional.cross_entropy(logits, torch.arange(24))
    loss = ranking + mmd + 0.01 * waves.pow(2).mean() + 0.1 * contrast
    opt.zero_grad()
    loss.backward()
    opt.step()
