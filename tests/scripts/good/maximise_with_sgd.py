import torch

torch.manual_seed(0)
mean = torch.nn.Parameter(torch.zeros(3))
log_std = torch.nn.Parameter(torch.zeros(3))
data = torch.randn(200, 3) * 2 + 5
ascent = torch.optim.SGD([mean, log_std], lr=0.02, maximize=True)
for step in range(60):
    ascent.zero_grad()
    likelihood = torch.distributions.Normal(mean, log_std.exp()).log_prob(data).mean()
    likelihood.backward()
    ascent.step()
