"""Tensor → statistics, computed where the tensor lives and moved to Python in one go.

NOTE [Deferred statistics]
A call per tensor and number costs more than the small ops of a typical script, and ``.item()`` on
an accelerator waits for it. So small tensors wait in a group of equal shape and dtype until the
group is flushed, over several steps when the model is small, with one stacked reduction each;
large ones are reduced at once. On the CPU the few resulting numbers are read there and then;
elsewhere they stay on the device until ``settle`` moves them, all together. A tensor that was
changed in place while it waited (its version moved) is dropped and counted, never misreported.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from gradscope.capture.quiet import no_collection
from gradscope.model.stats import TensorStats

SMALL = 16_384  # elements; at or below, grouping is cheaper than a reduction per tensor
GROUP_ELEMENTS = 1 << 18  # at most so many elements of the user's are kept alive while they wait
SAMPLE_FROM = SMALL  # elements; above, zeros are counted on a sample
SAMPLE_BLOCKS, SAMPLE_WIDTH = 64, 128

_PLAIN = frozenset({Tensor, torch.nn.Parameter})
_STRIDED = torch.strided


class Unreadable(Exception):
    """The tensor has no numbers to read: fake, or wrapped by a function transform."""


class Measured(NamedTuple):
    """Numbers of one tensor, made into ``TensorStats`` only where somebody asks.

    ``numbers`` are norm, min, max and share of zeros.
    """

    template: TensorStats
    numbers: Sequence[float]
    sampled: bool
    nan: int | None = 0
    inf: int | None = 0

    def stats(self) -> TensorStats:
        """The model's form of it."""
        like = self.template
        norm, low, high, zeros = (None if math.isnan(n) else n for n in self.numbers)
        nan = self.nan
        if nan or self.inf is None:
            norm, low, high = self.numbers[:3]
        if like.dtype.startswith("complex"):
            low = high = None
        only = low if like.count == 1 else None
        return TensorStats(
            like.shape,
            like.dtype,
            like.device,
            like.count,
            norm,
            low,
            high,
            zeros,
            self.sampled,
            nan,
            self.inf,
            only,
        )

    @property
    def is_finite(self) -> bool:
        """Whether every element is."""
        return math.isfinite(self.numbers[0])


class _OnDevice(NamedTuple):
    tickets: list[int]
    template: TensorStats
    numbers: Tensor  # (rows, 4): norm, min, max, share of zeros
    sampled: bool


class Collector:
    """Hands out a ticket per tensor and, once settled, the numbers for it."""

    def __init__(self) -> None:
        self.dropped: dict[str, int] = {}
        self._groups: dict[object, list[tuple[int, Tensor, int]]] = {}
        self._waiting = 0  # bytes
        self._elsewhere: list[_OnDevice] = []
        self._done: dict[int, Measured] = {}
        self._next = 0

    def add(self, tensor: Tensor) -> int:
        """Queues a tensor; call with torch functions disabled.

        A tensor without graph is held itself, so that the engine, which sees it in use, does not
        reuse its memory; of others only their data is held.

        Args:
            tensor: Any strided, sparse or complex tensor.

        Returns:
            The ticket under which ``settle`` gives its numbers; it stays unanswered when the
            tensor could not be read.
        """
        ticket = self._next
        self._next = ticket + 1
        if type(tensor) not in _PLAIN:
            try:
                tensor = _readable(tensor)
            except Unreadable:
                self.drop("tensors without readable numbers (fake or function-transform wrapped)")
                return ticket
        numel = tensor.numel()
        if numel > SMALL or numel == 0 or tensor.layout is not _STRIDED:
            self._reduce_one(ticket, tensor.detach())
            return ticket
        key = (tensor.shape, tensor.dtype, tensor.device)
        group = self._groups.get(key)
        if group is None:
            group = self._groups[key] = []
        held = tensor.detach() if tensor.requires_grad else tensor
        group.append((ticket, held, tensor._version))
        self._waiting += numel
        if self._waiting > GROUP_ELEMENTS:
            self.flush()
        return ticket

    def add_copy(self, tensor: Tensor) -> int:
        """Like ``add`` for a tensor that may be changed in place before ``settle``."""
        small = tensor.layout is torch.strided and tensor.numel() <= SMALL
        return self.add(tensor.detach().clone() if small else tensor)

    def drop(self, reason: str, count: int = 1) -> None:
        """Counts something that was not measured."""
        self.dropped[reason] = self.dropped.get(reason, 0) + count

    def flush(self) -> None:
        """Reduces every waiting tensor, so that none is kept alive."""
        groups, self._groups, self._waiting = self._groups, {}, 0
        with no_collection():
            for waiting in groups.values():
                self._reduce_group(waiting)

    def _reduce_group(self, waiting: list[tuple[int, Tensor, int]]) -> None:
        if waiting:
            same = [(ticket, t) for ticket, t, version in waiting if t._version == version]
            if len(same) < len(waiting):
                self.drop("tensors changed in place before measurement", len(waiting) - len(same))
            if same:
                tensors = [t for _, t in same]
                rows = torch.stack(tensors).reshape(len(same), -1)
                self._reduce([k for k, _ in same], rows, _template(tensors[0]))

    def settle(self) -> dict[int, Measured]:
        """Flushes, moves what is left to Python, and returns everything measured since last time.

        Returns:
            Ticket to numbers.
        """
        self.flush()
        elsewhere, self._elsewhere = self._elsewhere, []
        by_device: dict[torch.device, list[_OnDevice]] = {}
        for item in elsewhere:
            by_device.setdefault(item.numbers.device, []).append(item)
        for items in by_device.values():
            moved = iter(torch.cat([i.numbers for i in items]).tolist())
            for item in items:
                for ticket in item.tickets:
                    row = next(moved)
                    unknown = None if not math.isfinite(row[0]) else 0
                    self._done[ticket] = Measured(
                        item.template, row, item.sampled, unknown, unknown
                    )
        done, self._done = self._done, {}
        return done

    def _reduce_one(self, ticket: int, tensor: Tensor) -> None:
        template = _template(tensor)
        if template.count == 0:
            self._done[ticket] = Measured(template, (0.0, math.nan, math.nan, math.nan), False)
        elif tensor.layout is torch.strided:
            dense, repeats = _dense(tensor)
            self._reduce([ticket], dense.reshape(1, -1), template, repeats)
        else:
            self._done[ticket] = _sparse(tensor, template)

    def _reduce(
        self, tickets: list[int], rows: Tensor, template: TensorStats, repeats: int = 1
    ) -> None:
        numbers = _reductions(rows, math.sqrt(repeats))
        sampled = rows.shape[1] > SAMPLE_FROM
        if rows.device.type != "cpu":
            self._elsewhere.append(_OnDevice(tickets, template, numbers, sampled))
            return
        listed = numbers.tolist()
        for ticket, row in zip(tickets, listed, strict=True):
            self._done[ticket] = Measured(template, row, sampled)
        wrong = [i for i, row in enumerate(listed) if _is_suspicious(row)]
        for i, repaired in zip(wrong, _repair(rows[wrong], repeats) if wrong else (), strict=True):
            norm, zeros, nan, inf = repaired
            numbers_of_row = (norm, listed[i][1], listed[i][2], zeros)
            self._done[tickets[i]] = Measured(template, numbers_of_row, sampled, int(nan), int(inf))


def _readable(tensor: Tensor) -> Tensor:
    """The plain tensor behind a subclass; raises ``Unreadable`` where there is none."""
    if torch._C._functorch.is_functorch_wrapped_tensor(tensor):
        raise Unreadable
    local = getattr(tensor, "to_local", None)
    if local is not None:
        return _readable(local())
    if isinstance(tensor, torch._subclasses.FakeTensor) or tensor.is_meta:
        raise Unreadable
    if tensor.is_quantized or tensor.is_nested:
        raise Unreadable
    return tensor.as_subclass(Tensor)


def _template(tensor: Tensor) -> TensorStats:
    return TensorStats(
        shape=tuple(tensor.shape),
        dtype=str(tensor.dtype).removeprefix("torch."),
        device=str(tensor.device),
        count=tensor.numel(),
    )


def _dense(tensor: Tensor) -> tuple[Tensor, int]:
    """The same elements laid out for a fast pass, and how often each stands for itself."""
    repeats = 1
    for dim, stride in enumerate(tensor.stride()):
        if stride == 0 and tensor.shape[dim] > 1:
            repeats *= tensor.shape[dim]
            tensor = tensor.narrow(dim, 0, 1)
    if not tensor.is_contiguous():
        tensor = tensor.permute(sorted(range(tensor.dim()), key=tensor.stride, reverse=True))
    return tensor, repeats


def _reductions(rows: Tensor, scale: float) -> Tensor:
    """(rows, 4): L2 norm times ``scale``, min, max and share of zeros of every row."""
    real = torch.view_as_real(rows).reshape(rows.shape[0], -1) if rows.is_complex() else rows
    if not real.dtype.is_floating_point:
        real = real.double()
    wide = _accumulator(real)
    norm = torch.linalg.vector_norm(real, dim=1, dtype=wide)
    if scale != 1.0:
        norm = norm * scale
    low, high = real.amin(1), real.amax(1)
    if rows.is_complex():
        low = high = torch.full_like(norm, math.nan)
    numbers = [n.double() for n in (norm, low, high, _zero_share(rows))]
    return torch.stack(numbers, dim=1)


def _accumulator(real: Tensor) -> torch.dtype:
    """Half types overflow in their own dtype; elsewhere than the CPU a repair is impossible."""
    if real.device.type == "cuda":
        return torch.float64
    return torch.float32 if real.element_size() < 4 else real.dtype


def _zero_share(rows: Tensor) -> Tensor:
    width = rows.shape[1]
    if width > SAMPLE_FROM:
        step = width // SAMPLE_BLOCKS
        rows = rows[:, : step * SAMPLE_BLOCKS].unflatten(1, (SAMPLE_BLOCKS, step))
        rows = rows[:, :, :SAMPLE_WIDTH].reshape(rows.shape[0], -1)
    if rows.is_complex():
        return 1.0 - rows.ne(0).sum(1) / rows.shape[1]
    # A sum of |sign| is four times as fast as count_nonzero along a dimension; NaN stays NaN.
    nonzero = torch.sign(rows).abs_().sum(1, dtype=torch.float32)
    return 1.0 - nonzero / rows.shape[1]


def _is_suspicious(numbers: list[float]) -> bool:
    """Not finite, or over- or underflowed in its own dtype."""
    norm, low, high, _ = numbers
    return not math.isfinite(norm) or (norm == 0.0 and not low == high == 0.0)


def _repair(rows: Tensor, repeats: int) -> list[list[float]]:
    """Per row: the norm redone in float64, share of zeros, and how many are NaN and Inf."""
    real = torch.view_as_real(rows).flatten(1) if rows.is_complex() else rows
    norm = torch.linalg.vector_norm(real, dim=1, dtype=torch.float64) * math.sqrt(repeats)
    zeros = _zero_share(torch.nan_to_num(rows, nan=1.0)).double()
    nan = torch.isnan(real).sum(1).double() * repeats
    inf = torch.isinf(real).sum(1).double() * repeats
    repaired: list[list[float]] = torch.stack([norm, zeros, nan, inf], dim=1).tolist()
    return repaired


def _sparse(tensor: Tensor, template: TensorStats) -> Measured:
    """Numbers of a sparse tensor, its unstored elements counted as zeros."""
    if tensor.layout is not torch.sparse_coo:
        tensor = tensor.to_sparse_coo()
    values = tensor.coalesce().values()
    stored = values.numel()
    if stored == 0:
        return Measured(template, (0.0, 0.0, 0.0, 1.0), False)
    rows = values.reshape(1, -1)
    norm, low, high, zeros = _reductions(rows, 1.0)[0].tolist()
    nan = inf = 0.0
    if _is_suspicious([norm, low, high, zeros]):
        norm, zeros, nan, inf = _repair(rows, 1)[0]
    if stored < template.count:
        low, high = min(low, 0.0), max(high, 0.0)
    zeros = 1.0 - (1.0 - zeros) * stored / template.count
    return Measured(template, (norm, low, high, zeros), stored > SAMPLE_FROM, int(nan), int(inf))
