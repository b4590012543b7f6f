import torch
from torch import nn

torch.manual_seed(0)
PAD = 0
emb, out = nn.Embedding(20, 16, padding_idx=PAD), nn.Linear(16, 20)
opt = torch.optim.Adam([*emb.parameters(), *out.parameters()], lr=1e-2)
criterion = nn.CrossEntropyLoss(ignore_index=PAD)
for batch in range(30):
    tokens = torch.randint(1, 20, (4, 7))
    targets = tokens.roll(-1, 1)
    if batch == 17:
        targets[:] = PAD  # a batch of empty lines
    logits = out(emb(tokens))
    loss = criterion(logits.flatten(0, 1), targets.flatten())  # expect: GS205
    opt.zero_grad()
    loss.backward()
    opt.step()
