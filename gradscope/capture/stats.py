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

import gc
import math
from contextlib import nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gradscope.capture.quiet import let_pass, outside_transforms, transforms_active
from gradscope.capture.readable import PLAIN, Unreadable, is_wrapped, readable
from gradscope.capture.reduce import (
    SAMPLE_FROM,
    SAMPLED,
    Kind,
    Reduced,
    Row,
    count_nonfinite,
    count_nonzeros,
    dense_form,
    exact_norms,
    extent,
    kind_of,
    measured,
    reduce_one,
    reduce_rows,
    row_of,
    rows_of,
)

SMALL = 16_384  # elements; at or below, grouping is cheaper than a reduction per tensor
GROUP_ELEMENTS = 1 << 16  # so many fit into the cache while a group is reduced
WAITING_ELEMENTS = 1 << 19  # at most so many of the user's are kept alive while they wait
MAX_GROUPS = 2048


# Where the numbers of one tensor arrive: empty until they are known, then a row for ``measured``.
Ticket = bytearray
_WHOLE = slice(None)


class _Group:
    """Tensors of one kind that wait to be reduced together."""

    __slots__ = ("count", "keys", "kind", "limit", "sinks", "tensors", "versions")

    def __init__(self, kind: Kind, limit: int) -> None:
        self.kind = kind
        self.count = kind.template.count
        self.limit = limit  # tensors; 0: none waits
        self.clear()

    def clear(self) -> None:
        self.tensors: list[Tensor] = []
        self.versions: list[int] = []
        self.sinks: list[Any] = []
        self.keys: list[Any] = []


class _OnDevice(NamedTuple):
    kind: Kind
    sinks: list[Any]
    keys: list[Any]
    numbers: Tensor  # (rows, 4)


class Collector:
    """Measures tensors and delivers the numbers of each to where they are wanted."""

    def __init__(self) -> None:
        self.dropped: dict[str, int] = {}
        self._groups: dict[object, _Group] = {}
        self._waiting = 0  # elements
        self._elsewhere: list[_OnDevice] = []

    def add(self, tensor: Tensor, copy: bool = False) -> Ticket:
        """Measures a tensor now or later.

        Args:
            tensor: Any strided, sparse or complex tensor.
            copy: Whether it may be changed in place before ``settle``.
        """
        ticket = Ticket()
        self.put(tensor, ticket, _WHOLE, copy)
        return ticket

    def put(self, tensor: Tensor, sink: Any, key: object, copy: bool = False) -> None:
        """Sets ``sink[key]`` to a row for ``measured``, by ``settle`` at the latest.

        Nothing is set when the tensor cannot be read. Call with torch functions disabled. A
        tensor without graph is held itself, so that the engine, which sees it in use, does not
        reuse its memory; of others only their data is held.
        """
        try:
            if transforms_active():
                with outside_transforms():
                    self._put(readable(tensor), sink, key, copy)
            elif type(tensor) in PLAIN and not is_wrapped(tensor):
                self._put(tensor, sink, key, copy)
            else:
                self._put(readable(tensor), sink, key, copy)
        except Unreadable:
            self.drop("tensors without readable numbers (fake or function-transform wrapped)")
        except BaseException as error:
            let_pass(error)
            self.drop("tensors that could not be measured")

    def _put(self, tensor: Tensor, sink: Any, key: object, copy: bool) -> None:
        like = (tensor.shape, tensor.dtype, tensor.device, tensor.layout)
        group = self._groups.get(like)
        if group is None:
            group = self._new_group(like, tensor)
        if not group.limit:
            self._reduce_one(tensor.detach(), group.kind, sink, key)
            return
        if copy:
            tensor = tensor.detach().clone()
        group.tensors.append(tensor.detach() if tensor.requires_grad else tensor)
        group.versions.append(tensor._version)
        group.sinks.append(sink)
        group.keys.append(key)
        self._waiting += group.count
        if len(group.keys) >= group.limit:
            self._flush(group)
        elif self._waiting > WAITING_ELEMENTS:
            self.flush()

    def drop(self, reason: str, count: int = 1) -> None:
        """Counts something that was not measured."""
        self.dropped[reason] = self.dropped.get(reason, 0) + count

    def flush(self) -> None:
        """Reduces every waiting tensor, so that none is kept alive."""
        if not self._waiting:
            return
        collects = gc.isenabled()
        try:
            if collects:
                gc.disable()
            with outside_transforms() if transforms_active() else nullcontext():
                for group in self._groups.values():
                    if group.tensors:
                        self._flush(group)
        finally:
            if collects:
                gc.enable()
        if len(self._groups) > MAX_GROUPS:
            self._groups.clear()

    def settle(self) -> None:
        """Flushes, and moves what is left elsewhere to Python."""
        self.flush()
        elsewhere, self._elsewhere = self._elsewhere, []
        by_device: dict[torch.device, list[_OnDevice]] = {}
        for item in elsewhere:
            by_device.setdefault(item.numbers.device, []).append(item)
        for items in by_device.values():
            try:
                moved = iter(torch.cat([i.numbers for i in items]).tolist())
            except BaseException as error:
                let_pass(error)
                self.drop("tensors that could not be measured", sum(len(i.keys) for i in items))
                continue
            for item in items:
                for sink, key, numbers in zip(item.sinks, item.keys, moved, strict=False):
                    norm, low, high, nonzero = numbers
                    unknown = 0 if math.isfinite(norm) else -1
                    sink[key] = row_of(item.kind, norm, low, high, nonzero, unknown, unknown)

    def _new_group(self, key: object, tensor: Tensor) -> _Group:
        kind = kind_of(tensor)
        count = kind.template.count
        grouped = 0 < count <= SMALL and tensor.layout is torch.strided
        group = _Group(kind, max(1, GROUP_ELEMENTS // count) if grouped else 0)
        self._groups[key] = group
        return group

    def _flush(self, group: _Group) -> None:
        tensors, versions, sinks, keys = group.tensors, group.versions, group.sinks, group.keys
        group.clear()
        self._waiting -= len(tensors) * group.count
        if [t._version for t in tensors] != versions:
            same = [i for i, t in enumerate(tensors) if t._version == versions[i]]
            self.drop("tensors changed in place before measurement", len(tensors) - len(same))
            tensors, sinks, keys = (
                [tensors[i] for i in same],
                [sinks[i] for i in same],
                [keys[i] for i in same],
            )
        if not tensors:
            return
        try:
            self._reduce(group.kind, tensors, sinks, keys)
        except BaseException as error:
            let_pass(error)
            self.drop("tensors that could not be measured", len(tensors))

    def _reduce(self, kind: Kind, tensors: list[Tensor], sinks: list[Any], keys: list[Any]) -> None:
        rows = torch.stack(tensors).view(len(tensors), -1)
        if rows.device.type != "cpu":
            reduced = reduce_rows(rows)
            numbers = torch.stack([r.to(reduced[0].dtype) for r in reduced], dim=1)
            self._elsewhere.append(_OnDevice(kind, sinks, keys, numbers))
            return
        norms, lows, highs = (numbers.tolist() for numbers in extent(rows))
        doubtful = not (min(norms) > kind.tiny and math.isfinite(sum(norms)))
        if doubtful and any(
            _is_doubtful(kind, *row) for row in zip(norms, lows, highs, strict=True)
        ):
            norms = exact_norms(rows).tolist()
        found = rows_of(kind, norms, lows, highs, count_nonzeros(rows).tolist())
        for sink, key, row in zip(sinks, keys, found, strict=True):
            sink[key] = row
        if doubtful:
            for norm, tensor, sink, key in zip(norms, tensors, sinks, keys, strict=True):
                if not math.isfinite(norm):
                    sink[key] = _nonfinite_row(kind, tensor, sink[key])

    def _reduce_one(self, tensor: Tensor, kind: Kind, sink: Any, key: object) -> None:
        if kind.template.count == 0:
            sink[key] = row_of(kind, 0.0, math.nan, math.nan, math.nan)
        elif tensor.layout is not torch.strided:
            if tensor.device.type != "cpu":  # to read it is to wait for the device
                self.drop("sparse tensors on an accelerator")
            else:
                sink[key] = _sparse(tensor, kind)
        else:
            dense, repeats = dense_form(tensor)
            reduced = reduce_one(dense)
            if dense.device.type == "cpu":
                sink[key] = _row(kind, dense, reduced, repeats)
            else:
                self._elsewhere.append(_on_device(kind, dense, reduced, repeats, sink, key))


def _on_device(
    kind: Kind, dense: Tensor, reduced: Reduced, repeats: int, sink: Any, key: object
) -> _OnDevice:
    norm, low, high, nonzero = reduced
    kind, counted = _share_of(kind, dense)
    scaled = (norm * math.sqrt(repeats), low, high, nonzero / counted)
    numbers = torch.stack([n.to(norm.dtype) for n in scaled]).unsqueeze(0)
    return _OnDevice(kind, [sink], [key], numbers)


def _share_of(kind: Kind, dense: Tensor) -> tuple[Kind, int]:
    """The kind of a tensor whose zeros are given as a share, and of how many elements."""
    sampled = dense.numel() > SAMPLE_FROM
    if kind.of != 1 or kind.sampled != sampled:
        kind = kind._replace(of=1, sampled=sampled)
    return kind, SAMPLED if sampled else dense.numel()


def _row(kind: Kind, dense: Tensor, reduced: Reduced, repeats: int) -> Row:
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


def _is_doubtful(kind: Kind, norm: float, low: float, high: float) -> bool:
    """Whether the norm is not finite, or inexact since the squares of the elements underflow."""
    return not kind.tiny < norm < math.inf and not low == high == 0.0


def _nonfinite_row(kind: Kind, tensor: Tensor, row: Row) -> Row:
    """The row of a tensor with NaN or Inf, now with their counts."""
    found = measured(row)
    nonzero = int(torch.count_nonzero(tensor))
    return row_of(kind, found.norm, found.low, found.high, nonzero, *count_nonfinite(tensor))


def _sparse(tensor: Tensor, kind: Kind) -> Row:
    """Numbers of a sparse tensor, its unstored elements counted as zeros."""
    if tensor.layout is not torch.sparse_coo:
        tensor = tensor.to_sparse_coo()
    values = tensor.coalesce().values()
    stored = values.numel()
    if stored == 0:
        return row_of(kind, 0.0, 0.0, 0.0, 0)
    row = measured(_row(kind, values, reduce_one(values), 1))
    low, high = row.low, row.high
    if stored < kind.template.count:
        low, high = min(low, 0.0), max(high, 0.0)
    share = row.nonzero * stored / kind.template.count
    return row_of(row.kind, row.norm, low, high, share, row.nan or 0, row.inf or 0)
