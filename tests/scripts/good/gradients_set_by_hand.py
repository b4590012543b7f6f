"""Evolution strategies: no backward for the policy, its .grad is written; a critic learns as usual."""
import torch
import torch.nn as nn

torch.manual_seed(0)
policy = nn.Linear(3, 2, bias=False)
critic = nn.Linear(3, 1)
opt_p = torch.optim.Adam(policy.parameters(), lr=1e-2)
opt_c = torch.optim.Adam(critic.parameters(), lr=1e-2)
for it in range(10):
    s = torch.randn(16, 3)
    noise = torch.randn(8, 2, 3)
    reward = torch.stack([-(s @ (policy.weight + 0.1 * e).T).pow(2).mean() for e in noise]).detach()
    policy.weight.grad = -(noise * (reward - reward.mean())[:, None, None]).mean(0)
    opt_p.step()
    loss = (critic(s) - reward.mean()).pow(2).mean()
    opt_c.zero_grad()
    loss.backward()
    opt_c.step()
