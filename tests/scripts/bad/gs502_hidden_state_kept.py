"""A stateful LSTM whose state goes from batch to batch with its history."""

# raises: RuntimeError

import torch
from torch import nn


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(3, 12, batch_first=True)
        self.head = nn.Linear(12, 2)

    def forward(self, x, state):
        out, state = self.rnn(x, state)  # expect: GS502
        return self.head(out), state


torch.manual_seed(0)
model = Tagger()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
criterion = nn.CrossEntropyLoss()
state = (torch.zeros(1, 4, 12), torch.zeros(1, 4, 12))
for batch in range(6):
    x = torch.randn(4, 5, 3)
    y = torch.randint(0, 2, (4, 5))
    scores, state = model(x, state)
    loss = criterion(scores.flatten(0, 1), y.flatten())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
