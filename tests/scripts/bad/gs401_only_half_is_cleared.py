import torch
from torch import nn

torch.manual_seed(0)
encoder, decoder = nn.Linear(8, 3), nn.Linear(3, 8)
opt = torch.optim.Adam(list(encoder.parameters()) + list(decoder.parameters()), lr=1e-3)
for _ in range(20):
    x = torch.randn(16, 8)
    rec = decoder(torch.relu(encoder(x)))
    loss = torch.nn.functional.l1_loss(rec, x)
    encoder.zero_grad()
    loss.backward()  # expect: GS401
    opt.step()
