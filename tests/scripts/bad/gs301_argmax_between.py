import torch
from torch import nn

torch.manual_seed(0)


class Speaker(nn.Module):
    def __init__(self):
        super().__init__()
        self.choose = nn.Linear(6, 9)
        self.words = nn.Embedding(9, 5)
        self.guess = nn.Linear(5, 6)


net = Speaker()
opt = torch.optim.SGD(net.parameters(), lr=0.1)
objects = torch.eye(6)
for game in range(10):
    scores = net.choose(objects)
    message = net.words(scores.argmax(dim=1))  # expect: GS301
    loss = nn.functional.cross_entropy(net.guess(message), torch.arange(6))
    opt.zero_grad()
    loss.backward()
    opt.step()
