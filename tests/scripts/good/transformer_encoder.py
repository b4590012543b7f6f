import torch
import torch.nn as nn

torch.manual_seed(0)
VOCAB, SEQ = 5000, 16  # a large softmax: most logits get a tiny gradient


class TinyLM(nn.Module):
    def __init__(self):
        super().__init__()
        self.tok = nn.Embedding(VOCAB, 32)
        self.pos = nn.Parameter(torch.zeros(SEQ, 32))
        layer = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.1, batch_first=True, norm_first=True)
        self.enc = nn.TransformerEncoder(layer, 4, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(32)
        self.head = nn.Linear(32, VOCAB, bias=False)
        self.head.weight = self.tok.weight

    def forward(self, ids):
        mask = torch.triu(torch.full((SEQ, SEQ), float("-inf")), diagonal=1)
        h = self.tok(ids) + self.pos
        return self.head(self.norm(self.enc(h, mask=mask)))


lm = TinyLM()
opt = torch.optim.AdamW(lm.parameters(), lr=1e-3)
for step in range(6):
    ids = torch.randint(0, VOCAB, (4, SEQ + 1))
    logits = lm(ids[:, :-1])
    loss = nn.functional.cross_entropy(logits.reshape(-1, VOCAB), ids[:, 1:].reshape(-1))
    opt.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(lm.parameters(), 1.0)
    opt.step()
