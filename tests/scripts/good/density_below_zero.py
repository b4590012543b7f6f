# a log-likelihood may be negative, and falls until it fits
import torch

torch.manual_seed(0)
data = 0.01 * torch.randn(200) + 3.0
mean = torch.tensor(2.5, requires_grad=True)
log_std = torch.tensor(0.0, requires_grad=True)
optimizer = torch.optim.Adam([mean, log_std], lr=0.05)
for _ in range(150):
    optimizer.zero_grad()
    nll = (log_std + 0.5 * ((data - mean) / log_std.exp()) ** 2).mean()
    nll.backward()
    optimizer.step()
