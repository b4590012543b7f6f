import torch
from torch import nn


class CharModel(nn.Module):
    def __init__(self, vocab=16, hidden=24):
        super().__init__()
        self.emb, self.rnn, self.out = nn.Embedding(vocab, 8), nn.RNN(8, hidden, batch_first=True), nn.Linear(hidden, vocab)

    def forward(self, ids, state=None):
        h, state = self.rnn(self.emb(ids), state)
        return self.out(h), state


torch.manual_seed(0)
text = torch.randint(0, 16, (4, 121))
model, state = CharModel(), None
opt = torch.optim.Adam(model.parameters(), lr=2e-3)
for start in range(0, 120, 12):
    chunk = text[:, start : start + 13]
    logits, state = model(chunk[:, :-1], state)
    state = state.detach()
    loss = nn.functional.cross_entropy(logits.flatten(0, 1), chunk[:, 1:].flatten())
    opt.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    opt.step()
