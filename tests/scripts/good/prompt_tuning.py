import torch
import torch.nn as nn

torch.manual_seed(0)
embed = nn.Embedding(50, 24)
encoder = nn.TransformerEncoderLayer(24, 4, 64, dropout=0.0, batch_first=True)
classifier = nn.Linear(24, 2)
prompt = nn.Parameter(torch.randn(1, 4, 24) * 0.02)
opt = torch.optim.AdamW([prompt, *classifier.parameters()], lr=5e-3)  # the rest stays as it is
tokens, labels = torch.randint(0, 50, (8, 10)), torch.randint(0, 2, (8,))
for epoch in range(10):
    h = torch.cat([prompt.expand(8, -1, -1), embed(tokens)], dim=1)
    loss = nn.functional.cross_entropy(classifier(encoder(h).mean(1)), labels)
    opt.zero_grad()
    loss.backward()
    opt.step()
