"""Character model that keeps the state of its LSTM from window to window."""

# raises: RuntimeError
import torch
from torch import nn

torch.manual_seed(0)
table = nn.Embedding(11, 8)
lstm = nn.LSTM(8, 12, batch_first=True)
to_letters = nn.Linear(12, 11)
parts = nn.ModuleList([table, lstm, to_letters])
optimizer = torch.optim.Adam(parts.parameters(), lr=1e-3)
letters = torch.randint(0, 11, (2, 61))
memory = (torch.zeros(1, 2, 12), torch.zeros(1, 2, 12))
for begin in range(0, 60, 10):
    window = letters[:, begin : begin + 11]
    features, memory = lstm(table(window[:, :-1]), memory)  # expect: GS502
    loss = nn.functional.cross_entropy(to_letters(features).flatten(0, 1), window[:, 1:].flatten())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
