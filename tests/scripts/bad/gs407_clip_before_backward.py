import torch
from torch.nn.utils import clip_grad_norm_

torch.manual_seed(0)
rnn = torch.nn.GRU(3, 8, batch_first=True)
head = torch.nn.Linear(8, 1)
params = list(rnn.parameters()) + list(head.parameters())
optimizer = torch.optim.Adam(params, lr=1e-2)
for step in range(10):
    seq = torch.randn(6, 7, 3)
    target = seq.sum((1, 2)).unsqueeze(1)
    optimizer.zero_grad()
    clip_grad_norm_(params, max_norm=1.0)  # expect: GS407
    out, _ = rnn(seq)
    loss = torch.nn.functional.mse_loss(head(out[:, -1]), target)
    loss.backward()
    optimizer.step()
