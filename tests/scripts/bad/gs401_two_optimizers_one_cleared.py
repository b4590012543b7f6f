import torch
from torch import nn

torch.manual_seed(0)
emb, net = nn.Embedding(30, 8, sparse=True), nn.Linear(8, 2)
sparse = torch.optim.SparseAdam(emb.parameters(), lr=1e-2)
dense = torch.optim.Adam(net.parameters(), lr=1e-3)
for _ in range(8):
    ids = torch.randint(0, 30, (12,))
    dense.zero_grad()
    loss = nn.functional.cross_entropy(net(emb(ids)), ids % 2)
    loss.backward()  # expect: GS401
    sparse.step()
    dense.step()
