import torch
import torch.nn.functional as F

torch.manual_seed(0)


class Tagger(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = torch.nn.Embedding(50, 16)
        self.lin1 = torch.nn.Linear(16, 16)
        self.lin2 = torch.nn.Linear(16, 6)

    def forward(self, ids):
        h = torch.relu(self.lin1(self.embed(ids)))
        return self.lin2(h)


tagger = Tagger().half()
master = [p.detach().float() for p in tagger.parameters()]
back = torch.Tensor.backward  # tests that scale the loss must leave this one alone
for it in range(6):
    ids = torch.randint(0, 50, (64, 32))
    tags = ids % 6
    logits = tagger(ids).float()
    loss = F.cross_entropy(logits.flatten(0, 1), tags.flatten())
    back(loss * 4e-3)  # expect: GS108
    for p, m in zip(tagger.parameters(), master, strict=True):
        m -= 50.0 * p.grad.float()
        p.data.copy_(m)
        p.grad = None
