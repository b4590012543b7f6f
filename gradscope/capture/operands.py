"""Which calls broadcast their two tensor arguments against each other into something larger."""

from __future__ import annotations

from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from gradscope.capture.known import hashable

Shapes = tuple[tuple[int, ...], ...]

_NAMES = ("add", "sub", "subtract", "mul", "multiply", "div", "divide", "true_divide", "rsub")
_LOSSES = ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "kl_div", "poisson_nll_loss")


def _elementwise() -> frozenset[Any]:
    names = [*_NAMES, *(f"{name}_" for name in _NAMES), *(f"__{name}__" for name in _NAMES)]
    names += ["__radd__", "__rmul__", "__truediv__", "__rtruediv__"]
    found = [getattr(place, name, None) for place in (Tensor, torch) for name in names]
    found += [getattr(functional, name, None) for name in _LOSSES]
    return hashable(f for f in found if f is not None)


ELEMENTWISE = _elementwise()


def broadcast_operands(first: object = None, second: object = None, *_: object) -> Shapes:
    """Shapes of both arguments where both are smaller than what they broadcast to.

    Args:
        first: Of the arguments of an elementwise function.
        second: Of them.
    """
    if not (isinstance(first, Tensor) and isinstance(second, Tensor)):
        return ()
    if first.shape == second.shape:
        return ()
    shapes = (tuple(first.shape), tuple(second.shape))
    return shapes if _result(*shapes) not in shapes else ()


def _result(first: tuple[int, ...], second: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of the result; the call went well, so that sizes are equal or 1."""
    pairs = zip_longest(reversed(first), reversed(second), fillvalue=1)
    sizes = [b if a == 1 else a for a, b in pairs]
    return tuple(reversed(sizes))
