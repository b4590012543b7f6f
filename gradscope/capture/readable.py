"""Which tensors have numbers that can be read without running code of the user's."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

PLAIN = frozenset({Tensor, torch.nn.Parameter})
is_wrapped: Callable[[Tensor], bool] = torch._C._functorch.is_functorch_wrapped_tensor
_NO_DISPATCH = Tensor.__torch_dispatch__
_FAR = 1 << 36  # bytes; no storage is as long, so an address beyond is not a mere offset


class Unreadable(Exception):
    """The tensor has no numbers to read, or only the user's own code can read them."""


def readable(tensor: Tensor) -> Tensor:
    """The plain tensor behind a subclass or a wrapper; a distributed one's local part.

    Raises:
        Unreadable: There is none: it is fake, quantized, nested, batched by ``vmap``, or every
            operator on it runs a ``__torch_dispatch__``.
    """
    while is_wrapped(tensor):
        if torch._C._functorch.is_batchedtensor(tensor):
            raise Unreadable
        tensor = torch._C._functorch.get_unwrapped(tensor)
    local = getattr(tensor, "to_local", None)
    if local is not None:
        return readable(local())
    if type(tensor).__torch_dispatch__ is not _NO_DISPATCH:
        raise Unreadable
    if tensor.is_meta or tensor.is_quantized or tensor.is_nested:
        raise Unreadable
    return tensor.as_subclass(Tensor)


def has_no_numbers(tensor: Tensor) -> bool:
    """Whether a plain tensor has none of one shape, or no memory: reading it would crash."""
    if tensor.is_nested:
        return True
    if tensor.layout is not torch.strided:
        return False
    address = tensor.data_ptr()
    if address > _FAR or not tensor.numel():
        return False
    return address == tensor.storage_offset() * tensor.element_size()


def plain_forms(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Plain tensors to calculate with; a NaN in the place of what cannot be read."""
    return [
        tensor if type(tensor) in PLAIN and not has_no_numbers(tensor) else _plain_form(tensor)
        for tensor in tensors
    ]


def _plain_form(tensor: Tensor) -> Tensor:
    try:
        plain = readable(tensor)
        return torch.full((1,), math.nan) if has_no_numbers(plain) else plain
    except Unreadable:
        return torch.full((1,), math.nan)
