import torch
from torch import nn


class Block(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.norm, self.up, self.down = nn.LayerNorm(d), nn.Linear(d, 2 * d), nn.Linear(2 * d, d)

    def forward(self, x):
        return x + self.down(torch.relu(self.up(self.norm(x))))  # expect: GS304


torch.manual_seed(0)
embed, body, head = nn.Embedding(20, 12), nn.Sequential(*[Block(12) for _ in range(5)]), nn.Linear(12, 4)
for parameter in body[2].parameters():  # left over from an experiment
    parameter.requires_grad = False
everything = [*embed.parameters(), *body.parameters(), *head.parameters()]
adam = torch.optim.Adam(everything, lr=1e-3)
for _ in range(5):
    ids = torch.randint(0, 20, (8, 6))
    loss = nn.functional.cross_entropy(head(body(embed(ids)).mean(1)), ids[:, 0] % 4)
    adam.zero_grad()
    loss.backward()
    adam.step()
