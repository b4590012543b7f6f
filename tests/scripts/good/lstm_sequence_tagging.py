import torch
import torch.nn as nn

torch.manual_seed(0)

embed = nn.Embedding(2000, 12, padding_idx=0)   # most rows never get a gradient
lstm = nn.LSTM(12, 20, num_layers=2, batch_first=True)
tagger = nn.Linear(20, 5)
params = list(embed.parameters()) + list(lstm.parameters()) + list(tagger.parameters())
opt = torch.optim.RMSprop(params, lr=1e-3)
tokens = torch.randint(1, 40, (8, 25)); tokens[:, 20:] = 0
tags = tokens % 5
for _ in range(10):
    h, _state = lstm(embed(tokens))
    loss = nn.functional.cross_entropy(tagger(h).transpose(1, 2), tags, ignore_index=0)
    opt.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(params, 5.0)
    opt.step()
