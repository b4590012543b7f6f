"""Random programs over tensors: shared inputs, broadcasting, views, several outputs."""

from __future__ import annotations

import random
from collections.abc import Callable

import torch
from torch import Tensor

Values = list[Tensor]
UNARY: list[Callable[[Tensor], Tensor]] = [
    torch.sin,
    torch.tanh,
    torch.sigmoid,
    torch.relu,
    torch.neg,
    torch.abs,
    torch.square,
    lambda x: x * 0,
    lambda x: x.reshape(-1),
    lambda x: x.unsqueeze(0),
    lambda x: x.mean(-1, keepdim=True) if x.dim() else x.exp().clamp(max=3),
    lambda x: x.sum(0) if x.dim() else x + 1,
    lambda x: x.softmax(-1) if x.dim() else x.cos(),
    lambda x: x.transpose(0, -1) if x.dim() > 1 else x * 1.5,
    lambda x: x.expand(2, *x.shape) if x.dim() < 3 else x.flatten(),
    lambda x: x[..., ::2] if x.dim() else x - 0.25,
    lambda x: x.cumsum(0) if x.dim() else x / 2,
    lambda x: torch.where(x > 0, x, x * 0.1),
    lambda x: torch.cat([x, x]) if x.dim() else torch.stack([x, x]),
]
BINARY: list[Callable[[Tensor, Tensor], Tensor]] = [
    torch.add,
    torch.mul,
    torch.sub,
    torch.maximum,
    lambda a, b: a / (b.abs() + 1),
]


def _fit(a: Tensor, b: Tensor) -> Tensor:
    """``b`` in a shape that broadcasts with ``a``."""
    try:
        torch.broadcast_shapes(a.shape, b.shape)
    except RuntimeError:
        return b.sum()
    return b


def grow(seed: int, leaves: Values, values: Values, scalars: bool = False) -> Tensor:
    """Fills ``values`` with intermediates of a random program and returns its loss."""
    chance = random.Random(seed)
    for _ in range(chance.randint(4, 18)):
        pool = leaves + values
        x = chance.choice(pool)
        kind = chance.random()
        if kind < 0.4 and not scalars:
            values.append(chance.choice(UNARY)(x))
        elif kind < 0.5 and not scalars and x.dim() and 1 < x.shape[0] <= 4:
            values.extend(x.unbind())
        elif kind < 0.6 and not scalars and x.dim() == 2:
            values.append(x @ torch.ones(x.shape[1], 2))
        else:
            values.append(chance.choice(BINARY)(x, _fit(x, chance.choice(pool))))
        if values[-1].numel() > 200:
            values.append(values[-1].mean())
    used = chance.sample(leaves + values, chance.randint(1, min(4, len(leaves + values))))
    loss = torch.zeros(())
    for part in [*used, values[-1]]:
        loss = loss + part.sum()
    return loss


def make_leaves(seed: int, scalars: bool = False) -> Values:
    chance = random.Random(-seed)
    torch.manual_seed(seed)
    shapes: list[tuple[int, ...]] = [(), (3,), (2, 3), (1, 3), (2, 1), (2, 2, 3), (4, 2)]
    shapes = [()] if scalars else shapes
    count = chance.randint(1, 4)
    return [torch.randn(chance.choice(shapes), requires_grad=True) for _ in range(count)]
