import torch
import torch.nn as nn

torch.manual_seed(0)


class Sentiment(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb = nn.Embedding(100, 12)
        self.gru = nn.GRU(12, 24, batch_first=True, bidirectional=True)
        self.cls = nn.Linear(48, 2)

    def forward(self, tokens):
        _, h = self.gru(self.emb(tokens))
        return self.cls(torch.cat([h[0], h[1]], dim=1))


net = Sentiment()
opt = torch.optim.Adam(net.parameters(), lr=2e-3)
tokens = torch.randint(0, 100, (16, 35))
labels = (tokens < 50).float().mean(1).gt(0.5).long()
for epoch in range(6):
    opt.zero_grad()
    loss = nn.functional.cross_entropy(net(tokens), labels)
    loss.backward()
    opt.step()
