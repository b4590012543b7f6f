import torch
from torch import nn

torch.manual_seed(0)


class Seq2Seq(nn.Module):
    def __init__(self, vocab=30, dim=16):
        super().__init__()
        self.emb = nn.Embedding(vocab, dim)
        self.encoder = nn.GRU(dim, dim, batch_first=True)
        self.cell = nn.GRUCell(dim, dim)
        self.mix = nn.Linear(2 * dim, dim)
        self.out = nn.Linear(dim, vocab)

    def forward(self, src, tgt):
        memory, h = self.encoder(self.emb(src))
        h, logits = h[0], []
        for t in range(tgt.size(1)):
            h = self.cell(self.emb(tgt[:, t]), h)
            weights = torch.softmax((memory * h.unsqueeze(1)).sum(-1), dim=1)
            context = (weights.unsqueeze(-1) * memory).sum(1)
            logits.append(self.out(torch.tanh(self.mix(torch.cat([h, context], 1)))))
        return torch.stack(logits, 1)


model = Seq2Seq()
opt = torch.optim.Adam(model.parameters(), lr=1e-2)
src = torch.randint(0, 30, (8, 12))
for it in range(8):
    logits = model(src, src)
    loss = nn.functional.nll_loss(logits.log_softmax(-1).flatten(0, 1), src.flatten())
    model.zero_grad()
    loss.backward()
    opt.step()
