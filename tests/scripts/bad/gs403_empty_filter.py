import torch
from torch import nn


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb = nn.Embedding(20, 8)
        self.mix = nn.Linear(8, 16)
        self.out = nn.Linear(16, 4)

    def forward(self, ids):
        return self.out(torch.tanh(self.mix(self.emb(ids))))  # expect: GS403


torch.manual_seed(0)
net = Tagger()
trainable = filter(lambda p: p.requires_grad, [*net.emb.parameters(), *net.mix.parameters()])
count = sum(p.numel() for p in trainable)  # and the iterator is empty from here on
opt = torch.optim.Adam([{"params": list(trainable)}, {"params": net.out.parameters()}, {"params": net.emb.parameters()}], lr=1e-3)
for _ in range(8):
    ids = torch.randint(0, 20, (6, 5))
    loss = nn.functional.cross_entropy(net(ids).flatten(0, 1), (ids % 4).flatten())
    opt.zero_grad()
    loss.backward()
    opt.step()
