import torch

torch.manual_seed(0)
words = torch.randint(0, 30, (64, 5))
labels = (words.sum(1) % 2).long()
embedding = torch.nn.Embedding(30, 8)
classifier = torch.nn.Linear(40, 2)
parameters = [*embedding.parameters(), *classifier.parameters()]
sgd = torch.optim.SGD(parameters, lr=0.2)
for epoch in range(8):
    sgd.zero_grad()
    scores = classifier(embedding(words).view(64, -1))
    torch.nn.functional.cross_entropy(scores, labels).backward()  # expect: GS405
    sgd.step  # noqa: B018
