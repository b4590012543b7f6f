import torch
from torch import nn, optim

torch.manual_seed(0)
rnn = nn.RNN(input_size=5, hidden_size=20, batch_first=True)
fc = nn.Linear(20, 2)
params = list(rnn.parameters()) + list(fc.parameters())
optimizer = optim.RMSprop(params, lr=1e-3)
sequences = torch.randn(12, 60, 5)
labels = (sequences[:, 0].sum(1) > 0).long()
for epoch in range(5):
    out, h_n = rnn(sequences)  # expect: GS103
    loss = nn.CrossEntropyLoss()(fc(out[:, -1]), labels)
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(params, 1.0)
    optimizer.step()
