import torch
import torch.nn as nn

torch.manual_seed(0)
encoder = nn.Sequential(nn.Linear(14, 10), nn.ReLU(), nn.Linear(10, 3))
decoder = nn.Sequential(nn.Linear(3, 10), nn.ReLU(), nn.Linear(10, 14))
optimizer = torch.optim.Adam(list(encoder.parameters()) + list(decoder.parameters()), lr=1e-3)
for epoch in range(8):
    batch = torch.randn(20, 14)
    code = encoder(batch)
    restored = decoder(code.detach())  # expect: GS301
    loss = nn.functional.mse_loss(restored, batch)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
