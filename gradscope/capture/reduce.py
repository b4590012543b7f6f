"""Tensor → a few numbers: L2 norm, smallest, largest, and how many elements are not zero."""

from __future__ import annotations

import math
import struct
import threading
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import repeat
from operator import attrgetter, truediv
from typing import NamedTuple

import torch
from torch import Tensor

from gradscope.model.stats import TensorStats

SAMPLE_FROM = 16_384  # elements; above, zeros are counted on a sample
SAMPLE_BLOCKS, SAMPLE_WIDTH = 64, 128
SAMPLED = SAMPLE_BLOCKS * SAMPLE_WIDTH
# Elements of a large tensor that stay in the cache for all three passes. The sum of the squares of
# many more would also be inexact in float32: to 4e-4 of 2 million equal ones.
BLOCK = 1 << 18

Reduced = tuple[Tensor, Tensor, Tensor, Tensor]  # norm, min, max, count of non-zeros


class Kind(NamedTuple):
    """What tensors of one shape, dtype and device have in common.

    Attributes:
        template: Their statistics without numbers.
        of: What ``nonzero`` is a count of; 1: it is a share, NaN where there are no elements.
        sampled: Whether zeros are counted on a sample.
        tiny: Norms below it are not exact, since the squares of the elements underflow.
    """

    template: TensorStats
    of: int
    sampled: bool
    tiny: float


# The fields of ``Measured``, its kind as a number, in one object that the garbage collector does
# not follow: there are thousands of them.
Row = bytes | bytearray

_FIELDS = 7
_layout = struct.Struct(f"{_FIELDS}d")
_count_of = attrgetter("of")
_kinds: list[Kind] = []
_numbers: dict[Kind, int] = {}
_lock = threading.Lock()


def number_of(kind: Kind) -> int:
    """A number by which ``measured`` knows the kind."""
    with _lock:
        number = _numbers.setdefault(kind, len(_kinds))
        if number == len(_kinds):
            _kinds.append(kind)
    return number


class Measured(NamedTuple):
    """Numbers of one tensor, made into ``TensorStats`` only where somebody asks."""

    kind: Kind
    norm: float
    low: float
    high: float
    nonzero: float
    nan: int | None = 0
    inf: int | None = 0

    @property
    def is_finite(self) -> bool:
        """Whether every element is."""
        return math.isfinite(self.norm)

    @property
    def zero_fraction(self) -> float:
        """Share of exact zeros; NaN when it was not measured."""
        return 1.0 - self.nonzero / self.kind.of

    def stats(self) -> TensorStats:
        """The model's form of it."""
        like = self.kind.template
        zeros = self.zero_fraction
        has_order = like.count > 0 and not like.dtype.startswith("complex")
        low, high = (self.low, self.high) if has_order else (None, None)
        return TensorStats(
            like.shape,
            like.dtype,
            like.device,
            like.count,
            self.norm,
            low,
            high,
            None if math.isnan(zeros) else zeros,
            self.kind.sampled,
            self.nan,
            self.inf,
            low if like.count == 1 else None,
        )


def row_of(
    kind: Kind, norm: float, low: float, high: float, nonzero: float, nan: int = 0, inf: int = 0
) -> Row:
    """One tensor's numbers as a row; counts that are not known are -1."""
    return _layout.pack(number_of(kind), norm, low, high, nonzero, nan, inf)


_NO_KIND = Kind(TensorStats((), "", "", 0), 1, False, 0.0)
UNMEASURED = row_of(_NO_KIND, math.nan, math.nan, math.nan, math.nan)
"""Stands for a tensor without numbers."""


def rows_of(
    number: int,
    norms: Iterable[float],
    lows: Iterable[float],
    highs: Iterable[float],
    nonzeros: Iterable[float],
) -> Iterator[Row]:
    """Rows of tensors without NaN or Inf, of the kind with that number."""
    zeros = repeat(0)
    return map(_layout.pack, repeat(number), norms, lows, highs, nonzeros, zeros, zeros)


def measured(row: Row) -> Measured:
    """A row as ``Measured``."""
    number, norm, low, high, nonzero, nans, infs = _layout.unpack(row)
    nan, inf = None if nans < 0 else int(nans), None if infs < 0 else int(infs)
    return Measured(_kinds[int(number)], norm, low, high, nonzero, nan, inf)


def number_in(row: Row) -> float:
    """The only element of a tensor that has one."""
    low: float = _layout.unpack(row)[2]
    return low


def columns(
    rows: Iterable[Row],
) -> tuple[array[float], array[float], array[float], list[float]]:
    """Norms, mins, maxs and shares of zeros of several tensors."""
    numbers = _numbers_in(rows)
    kinds, norms, lows, highs, nonzeros = (numbers[i::_FIELDS] for i in range(5))
    counts = map(_count_of, map(_kinds.__getitem__, map(int, kinds)))
    zeros = [1.0 - share for share in map(truediv, nonzeros, counts)]
    return norms, lows, highs, zeros


def are_finite(rows: Sequence[Row]) -> bool:
    """Whether every element of all those tensors is that were measured."""
    norms = _numbers_in(rows)[1::_FIELDS]
    return sum(map(math.isfinite, norms)) + rows.count(UNMEASURED) == len(rows)


def _numbers_in(rows: Iterable[Row]) -> array[float]:
    """The fields of several rows, one after the other."""
    return array("d", b"".join(rows))


def kind_of(tensor: Tensor) -> Kind:
    """The kind of a strided or sparse tensor."""
    count = tensor.numel()
    template = TensorStats(
        shape=tuple(tensor.shape),
        dtype=str(tensor.dtype).removeprefix("torch."),
        device=str(tensor.device),
        count=count,
    )
    sampled = count > SAMPLE_FROM and tensor.layout is torch.strided
    wide = tensor.dtype in (torch.float64, torch.complex128)
    return Kind(template, 1 if sampled else max(1, count), sampled, 1e-150 if wide else 1e-15)


def reduce_rows(rows: Tensor) -> Reduced:
    """Reduces every row of a matrix, whose elements are overwritten.

    NaN in a row shows in its norm; min and max of complex rows are NaN.
    """
    norm, low, high = extent(rows)
    return norm, low, high, count_nonzeros(rows)


def extent(rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Norm, min and max of every row."""
    if rows.is_complex():
        norm = torch.linalg.vector_norm(torch.view_as_real(rows).flatten(1), dim=1)
        none = torch.full_like(norm, math.nan)
        return norm, none, none
    rows = rows if rows.dtype.is_floating_point else rows.double()
    norm = torch.linalg.vector_norm(rows, dim=1, dtype=_norm_dtype(rows))
    return norm, rows.amin(1), rows.amax(1)


def count_nonzeros(rows: Tensor) -> Tensor:
    """Per row; NaN where one is. The elements are overwritten."""
    if not rows.dtype.is_floating_point:
        return rows.ne(0).sum(1)
    # A sum of |sign| is four times as fast as count_nonzero along a dimension.
    return rows.sign_().abs_().sum(1, dtype=torch.float32)


def exact_norms(rows: Tensor) -> Tensor:
    """Norms of rows whose squares may over- or underflow, in float64; NaN and Inf show."""
    real = torch.view_as_real(rows).flatten(1) if rows.is_complex() else rows
    if real.element_size() <= 4:
        exact: Tensor = torch.linalg.vector_norm(real, dim=1, dtype=torch.float64)
        return exact
    largest = real.abs().amax(1, keepdim=True)
    scale = largest.where((largest > 0) & largest.isfinite(), torch.ones_like(largest))
    norm: Tensor = torch.linalg.vector_norm(real / scale, dim=1).double() * scale[:, 0].double()
    return norm.where(largest[:, 0].isfinite(), largest[:, 0].double())


def reduce_one(tensor: Tensor) -> Reduced:
    """Reduces one large tensor; zeros are counted on a sample above ``SAMPLE_FROM`` elements."""
    nonzero = torch.count_nonzero(_sampled(tensor))
    if tensor.is_complex():
        norm = torch.linalg.vector_norm(torch.view_as_real(tensor))
        none = torch.full_like(norm, math.nan)
        return norm, none, none, nonzero
    tensor = tensor if tensor.dtype.is_floating_point else tensor.double()
    if tensor.device.type != "cpu" or not tensor.is_contiguous():
        norm = torch.linalg.vector_norm(tensor, dtype=_norm_dtype(tensor))
        return norm, tensor.amin(), tensor.amax(), nonzero
    parts = [(_norm(part), part.amin(), part.amax()) for part in tensor.view(-1).split(BLOCK)]
    if len(parts) == 1:
        return *parts[0], nonzero
    norms, lows, highs = (torch.stack(column) for column in zip(*parts, strict=True))
    return torch.linalg.vector_norm(norms), lows.amin(), highs.amax(), nonzero


def _norm(flat: Tensor) -> Tensor:
    """Norm of contiguous elements on the CPU."""
    norm: Tensor
    if flat.element_size() < 4:
        norm = torch.linalg.vector_norm(flat, dtype=torch.float32)
    else:
        norm = torch.dot(flat, flat).sqrt_()  # a third faster, and as exact
    return norm


def count_nonfinite(tensor: Tensor) -> tuple[int, int]:
    """How many elements are NaN and how many infinite."""
    return int(tensor.isnan().sum()), int(tensor.isinf().sum())


def dense_form(tensor: Tensor) -> tuple[Tensor, int]:
    """The same elements laid out for a fast pass, and how often each stands for itself."""
    repeats = 1
    for dim, stride in enumerate(tensor.stride()):
        if stride == 0 and tensor.shape[dim] > 1:
            repeats *= tensor.shape[dim]
            tensor = tensor.narrow(dim, 0, 1)
    if not tensor.is_contiguous():
        tensor = tensor.permute(sorted(range(tensor.dim()), key=tensor.stride, reverse=True))
    return tensor, repeats


def _sampled(tensor: Tensor) -> Tensor:
    count = tensor.numel()
    if count <= SAMPLE_FROM:
        return tensor
    if not tensor.is_contiguous():
        tensor = tensor.contiguous()
    return tensor.as_strided(
        (SAMPLE_BLOCKS, SAMPLE_WIDTH), (count // SAMPLE_BLOCKS, 1), tensor.storage_offset()
    )


def _norm_dtype(real: Tensor) -> torch.dtype:
    """Half types overflow in their own dtype; on CUDA nothing can be measured again later."""
    if real.device.type == "cuda":
        return torch.float64
    return torch.float32 if real.element_size() < 4 else real.dtype
