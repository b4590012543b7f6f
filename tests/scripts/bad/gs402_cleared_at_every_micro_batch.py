# four micro-batches per step, but each one clears what the ones before it left
import torch
from torch import nn

torch.manual_seed(0)
model = nn.Sequential(nn.Linear(10, 24), nn.GELU(), nn.Linear(24, 3))
optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
data = [(torch.randn(6, 10), torch.randint(0, 3, (6,))) for _ in range(16)]


def train(epochs, every):
    for _ in range(epochs):
        for number, (x, y) in enumerate(data, 1):
            optimizer.zero_grad()  # expect: GS402
            loss = nn.functional.cross_entropy(model(x), y) / every
            loss.backward()
            if number % every == 0:
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()


train(epochs=2, every=4)
