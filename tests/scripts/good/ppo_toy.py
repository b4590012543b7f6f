import torch
import torch.nn as nn
from torch.distributions import Categorical

torch.manual_seed(0)


class ActorCritic(nn.Module):
    def __init__(self, obs, act):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(obs, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh())
        self.pi = nn.Linear(32, act)
        self.v = nn.Linear(32, 1)

    def forward(self, s):
        h = self.body(s)
        return Categorical(logits=self.pi(h)), self.v(h).squeeze(-1)


ac = ActorCritic(4, 3)
opt = torch.optim.Adam(ac.parameters(), lr=3e-4)
for iteration in range(3):
    with torch.no_grad():
        states = torch.randn(64, 4)
        dist, values = ac(states)
        actions = dist.sample()
        logp_old = dist.log_prob(actions)
        rewards = (actions == (states[:, 0] > 0).long()).float()
        adv = rewards - values
        returns = rewards
        adv = (adv - adv.mean()) / (adv.std() + 1e-8)
    for epoch in range(3):
        for idx in torch.randperm(64).split(16):
            dist, v = ac(states[idx])
            ratio = (dist.log_prob(actions[idx]) - logp_old[idx]).exp()
            surr = torch.min(ratio * adv[idx], ratio.clamp(0.8, 1.2) * adv[idx])
            loss = -surr.mean() + 0.5 * (v - returns[idx]).pow(2).mean() - 0.01 * dist.entropy().mean()
            opt.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(ac.parameters(), 0.5)
            opt.step()
