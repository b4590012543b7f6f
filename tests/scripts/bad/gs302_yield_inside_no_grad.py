"""A generator hands out batches inside of no_grad, and the loop around it is off as well."""

# raises: RuntimeError

import torch


class Batches:
    def __init__(self, embedding, words):
        self.embedding, self.words = embedding, words

    def __iter__(self):
        with torch.no_grad():  # expect: GS302
            for chunk in self.words.split(8):
                yield self.embedding(chunk)


torch.manual_seed(0)
batches = Batches(torch.nn.Embedding(30, 5), torch.randint(0, 30, (32,)))
reader = torch.nn.Linear(5, 1)
optimizer = torch.optim.SGD(reader.parameters(), lr=0.1)
for batch in batches:
    loss = reader(batch).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
