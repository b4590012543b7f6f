import torch
import torch.nn as nn


class TinyGPT(nn.Module):
    def __init__(self, vocab=20, d=16, n=10):
        super().__init__()
        self.tables = {"token": nn.Embedding(vocab, d), "position": nn.Embedding(n, d)}
        self.block = nn.TransformerEncoderLayer(d, 2, 32, dropout=0.0, batch_first=True)
        self.head = nn.Linear(d, vocab)

    def forward(self, ids):
        pos = torch.arange(ids.shape[1])
        h = self.tables["token"](ids) + self.tables["position"](pos)  # expect: GS403
        mask = nn.Transformer.generate_square_subsequent_mask(ids.shape[1])
        return self.head(self.block(h, src_mask=mask))


torch.manual_seed(0)
model = TinyGPT()
opt = torch.optim.AdamW(model.parameters(), lr=1e-3)
for step in range(6):
    ids = torch.randint(0, 20, (4, 10))
    logits = model(ids[:, :-1])
    loss = nn.functional.cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
    opt.zero_grad()
    loss.backward()
    opt.step()
