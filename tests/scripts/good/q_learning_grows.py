# values grow from zero while they are learned, and the loss with them
import torch
from torch import nn

torch.manual_seed(0)
online = nn.Sequential(nn.Linear(3, 24), nn.ReLU(), nn.Linear(24, 2))
target = nn.Sequential(nn.Linear(3, 24), nn.ReLU(), nn.Linear(24, 2))
target.load_state_dict(online.state_dict())
optimizer = torch.optim.Adam(online.parameters(), lr=5e-3)
for step in range(60):
    state, following = torch.randn(32, 3), torch.randn(32, 3)
    action = torch.randint(0, 2, (32, 1))
    reward = 1.0 + 0.1 * state[:, :1]
    with torch.no_grad():
        goal = reward + 0.97 * target(following).max(1, keepdim=True).values
    value = online(state).gather(1, action)
    loss = nn.functional.smooth_l1_loss(value, goal)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 10 == 9:
        target.load_state_dict(online.state_dict())
