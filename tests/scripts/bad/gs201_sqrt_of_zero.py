import torch
from torch import nn

torch.manual_seed(0)
encoder = nn.Linear(4, 3)
opt = torch.optim.SGD(encoder.parameters(), lr=0.1)
anchor = torch.randn(8, 4)
positive = anchor.clone()
positive[4:] += 0.1  # half of the pairs are identical
for i in range(6):
    a, p = encoder(anchor), encoder(positive)
    squared = ((a - p) ** 2).sum(dim=1)
    distance = torch.sqrt(squared)  # expect: GS201
    loss = distance.mean()
    opt.zero_grad()
    loss.backward()
    opt.step()
