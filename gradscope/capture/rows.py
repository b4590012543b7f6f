"""The numbers of one tensor, made into a row; or left on its device to be moved later."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gradscope.capture.reduce import (
    SAMPLE_FROM,
    SAMPLED,
    Kind,
    Reduced,
    Row,
    count_nonfinite,
    exact_norms,
    measured,
    reduce_one,
    row_of,
)


class OnDevice(NamedTuple):
    """Numbers that are still on another device, and where they will arrive."""

    kind: Kind
    sinks: list[Any]
    keys: list[Any]
    numbers: Tensor  # (rows, 4)


def on_device(
    kind: Kind, dense: Tensor, reduced: Reduced, repeats: int, sink: Any, key: object
) -> OnDevice:
    """Scales the numbers where they are."""
    norm, low, high, nonzero = reduced
    kind, counted = _share_of(kind, dense)
    scaled = (norm * math.sqrt(repeats), low, high, nonzero / counted)
    numbers = torch.stack([n.to(norm.dtype) for n in scaled]).unsqueeze(0)
    return OnDevice(kind, [sink], [key], numbers)


def _share_of(kind: Kind, dense: Tensor) -> tuple[Kind, int]:
    """The kind of a tensor whose zeros are given as a share, and of how many elements."""
    sampled = dense.numel() > SAMPLE_FROM
    if kind.of != 1 or kind.sampled != sampled:
        kind = kind._replace(of=1, sampled=sampled)
    return kind, SAMPLED if sampled else dense.numel()


def row_on_cpu(kind: Kind, dense: Tensor, reduced: Reduced, repeats: int) -> Row:
    """Reads the numbers of one tensor on the CPU."""
    norm, low, high, nonzero = (number.item() for number in reduced)
    nan = inf = 0
    if not kind.tiny < norm < math.inf:
        norm = exact_norms(dense.reshape(1, -1)).item()
        if not math.isfinite(norm):
            nan, inf = count_nonfinite(dense)
    kind, counted = _share_of(kind, dense)
    share = nonzero / counted
    return row_of(kind, norm * math.sqrt(repeats), low, high, share, nan * repeats, inf * repeats)


def is_doubtful(kind: Kind, norm: float, low: float, high: float) -> bool:
    """Whether the norm is not finite, or inexact since the squares of the elements underflow."""
    return not kind.tiny < norm < math.inf and not low == high == 0.0


def nonfinite_row(kind: Kind, tensor: Tensor, row: Row) -> Row:
    """The row of a tensor with NaN or Inf, now with their counts."""
    found = measured(row)
    nonzero = int(torch.count_nonzero(tensor))
    return row_of(kind, found.norm, found.low, found.high, nonzero, *count_nonfinite(tensor))


def sparse(tensor: Tensor, kind: Kind) -> Row:
    """Numbers of a sparse tensor, its unstored elements counted as zeros."""
    if tensor.layout is not torch.sparse_coo:
        tensor = tensor.to_sparse_coo()
    values = tensor.coalesce().values()
    stored = values.numel()
    if stored == 0:
        return row_of(kind, 0.0, 0.0, 0.0, 0 if kind.template.count else math.nan)
    row = measured(row_on_cpu(kind, values, reduce_one(values), 1))
    low, high = row.low, row.high
    if stored < kind.template.count:
        low, high = min(low, 0.0), max(high, 0.0)
    share = row.nonzero * stored / kind.template.count
    return row_of(row.kind, row.norm, low, high, share, row.nan or 0, row.inf or 0)
