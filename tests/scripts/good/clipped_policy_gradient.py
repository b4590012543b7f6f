import torch
import torch.nn as nn

torch.manual_seed(0)
actor = nn.Sequential(nn.Linear(3, 32), nn.Tanh(), nn.Linear(32, 4))
value = nn.Sequential(nn.Linear(3, 32), nn.Tanh(), nn.Linear(32, 1))
params = [*actor.parameters(), *value.parameters()]
opt = torch.optim.Adam(params, lr=3e-4, eps=1e-5)
for update in range(6):
    obs = torch.randn(64, 3)
    with torch.no_grad():
        dist = torch.distributions.Categorical(logits=actor(obs))
        act = dist.sample()
        old = dist.log_prob(act)
        returns = obs.sum(1) * 20 + torch.randn(64)
        adv = returns - value(obs).squeeze(1)
        adv = (adv - adv.mean()) / (adv.std() + 1e-8)
    for _ in range(3):
        dist = torch.distributions.Categorical(logits=actor(obs))
        ratio = (dist.log_prob(act) - old).exp()
        gain = torch.min(ratio * adv, ratio.clamp(0.8, 1.2) * adv).mean()
        loss = -gain + 0.5 * (value(obs).squeeze(1) - returns).pow(2).mean() - 0.01 * dist.entropy().mean()
        opt.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(params, 0.5)
        opt.step()
