import torch
from torch import nn


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(40, 8)
        self.lstm = nn.LSTM(8, 10, batch_first=True)
        self.attend = nn.Linear(10, 10)
        self.out = nn.Linear(10, 5)

    def forward(self, tokens):
        h = self.words(tokens)
        h, _ = self.lstm(h)  # expect: GS403
        return self.out(torch.relu(self.attend(h)))


torch.manual_seed(0)
model = Tagger()
heads = [*model.attend.parameters(), *model.out.parameters()]
optimizer = torch.optim.SGD(heads, lr=0.1)
for i in range(6):
    tokens = torch.randint(0, 40, (4, 7))
    logits = model(tokens)
    loss = nn.functional.cross_entropy(logits.flatten(0, 1), tokens.flatten() % 5)
    model.zero_grad()
    loss.backward()
    optimizer.step()
