import torch
torch.manual_seed(0)
mu = torch.nn.Parameter(torch.zeros(3))
opt = torch.optim.Adam([mu], lr=0.1, maximize=True)
x = torch.randn(100, 3) + 4
for i in range(60):
    ll = torch.distributions.Normal(mu, 1.0).log_prob(x).sum()
    opt.zero_grad()
    ll.backward()
    opt.step()
