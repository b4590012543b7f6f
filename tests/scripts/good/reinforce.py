import torch
from torch.distributions import Categorical

torch.manual_seed(0)
policy = torch.nn.Sequential(torch.nn.Linear(4, 16), torch.nn.Tanh(), torch.nn.Linear(16, 2))
with torch.no_grad():
    policy[2].weight.mul_(0.01)  # nearly uniform at first, as PPO does it
optimizer = torch.optim.Adam(policy.parameters(), lr=1e-2)
for episode in range(30):
    state = torch.randn(4)
    log_probs, rewards = [], []
    for t in range(10):
        dist = Categorical(logits=policy(state))
        action = dist.sample()
        log_probs.append(dist.log_prob(action))
        rewards.append(1.0 if (state[0] > 0) == bool(action) else 0.0)
        state = torch.randn(4)
    returns = torch.tensor(rewards).flip(0).cumsum(0).flip(0)
    returns = (returns - returns.mean()) / (returns.std() + 1e-6)
    loss = -(torch.stack(log_probs) * returns).sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
