"""Low-rank updates of frozen queries and values; their second factors start at zero."""

import torch
import torch.nn.functional as F

torch.manual_seed(0)
D, RANK = 32, 4


def normal(*shape):
    return torch.randn(*shape) * 0.02


base = [
    {name: normal(D, D) for name in ("q", "k", "v", "o")}
    | {"up": normal(64, D), "down": normal(D, 64)}
    for _ in range(2)
]
adapters = [
    {
        name: [normal(RANK, D).requires_grad_(), torch.zeros(D, RANK, requires_grad=True)]
        for name in "qv"
    }
    for _ in base
]
embedding, pooler = normal(100, D), normal(D, D)
head = normal(2, D).requires_grad_()


def project(x, block, adapter, name):
    y = F.linear(x, block[name])
    if name not in adapter:
        return y
    a, b = adapter[name]
    return y + 4.0 * F.linear(F.linear(x, a), b)


def forward(ids):
    x = F.layer_norm(embedding[ids], (D,))
    for block, adapter in zip(base, adapters):
        q, k, v = (project(x, block, adapter, name) for name in "qkv")
        weights = (q @ k.transpose(1, 2) / D**0.5).softmax(-1)
        x = F.layer_norm(x + F.linear(weights @ v, block["o"]), (D,))
        x = F.layer_norm(x + F.linear(F.gelu(F.linear(x, block["up"])), block["down"]), (D,))
    return F.linear(torch.tanh(F.linear(x[:, 0], pooler)), head)


trained = [head] + [p for adapter in adapters for pair in adapter.values() for p in pair]
optimizer = torch.optim.AdamW(trained, lr=1e-3)
ids = torch.randint(5, 100, (64, 12))
labels = (ids[:, 1] > 50).long()
for epoch in range(4):
    for batch in torch.arange(64).split(16):
        loss = F.cross_entropy(forward(ids[batch]), labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
