"""Tensors of one shape and dtype that wait to be reduced together, with one stacked reduction."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from operator import attrgetter, setitem
from typing import Any

import torch
from torch import Tensor
from torch._C import _DisableAutocast

from gradscope.capture.quiet import let_pass
from gradscope.capture.readable import Unreadable, has_no_numbers
from gradscope.capture.reduce import (
    Kind,
    count_nonzeros,
    dense_form,
    exact_norms,
    extent,
    kind_of,
    number_of,
    reduce_one,
    reduce_rows,
    row_of,
    rows_of,
)
from gradscope.capture.rows import (
    OnDevice,
    is_doubtful,
    nonfinite_row,
    on_device,
    row_on_cpu,
    sparse,
)

SMALL = 16_384  # elements; at or below, grouping is cheaper than a reduction per tensor
GROUP_ELEMENTS = 1 << 16  # so many fit into the cache while a group is reduced
WAITING_ELEMENTS = 1 << 19  # at most so many wait
MAX_GROUPS = 2048
_like = attrgetter("shape", "dtype", "device", "layout")  # equal for tensors that can be stacked
UNMEASURED = "tensors that could not be measured"


class _Group:
    """Tensors of one kind that wait to be reduced together."""

    __slots__ = ("count", "keys", "kind", "limit", "number", "sinks", "tensors")

    def __init__(self, kind: Kind, limit: int) -> None:
        self.kind = kind
        self.number = number_of(kind)
        self.count = kind.template.count
        self.limit = limit  # tensors; 0: none waits
        self.clear()

    def clear(self) -> None:
        self.tensors: list[Tensor] = []
        self.sinks: list[Any] = []
        self.keys: list[Any] = []


class Groups:
    """Reduces tensors, small ones many at a time, and delivers their rows.

    Args:
        drop: Is told why something was not measured, and how often.

    Attributes:
        waiting: Elements that wait in groups.
    """

    def __init__(self, drop: Callable[[str, int], None]) -> None:
        self.waiting = 0
        self._drop = drop
        self._groups: dict[object, _Group] = {}
        self._elsewhere: list[OnDevice] = []

    def put(self, tensor: Tensor, sink: Any, key: object, own: bool) -> None:
        """Sets ``sink[key]`` to the row of a plain tensor, by ``arrive`` at the latest.

        Raises:
            Unreadable: The tensor has no memory.
        """
        like = _like(tensor)
        group = self._groups.get(like) or self._new_group(like, tensor)
        if not own and has_no_numbers(tensor):
            raise Unreadable
        if not group.limit:
            with _DisableAutocast():
                self._reduce_one(tensor.detach(), group.kind, sink, key)
            return
        group.tensors.append(tensor if own else tensor.detach().clone())
        group.sinks.append(sink)
        group.keys.append(key)
        self.waiting += group.count
        if len(group.keys) >= group.limit:
            self._flush(group)
        elif self.waiting > WAITING_ELEMENTS:
            self.flush()

    def put_alike(self, tensors: Sequence[Tensor], sinks: Sequence[Any], key: object) -> bool:
        """The same for copies; False, and nothing done, unless they belong into one known group."""
        likes = set(map(_like, tensors))
        group = self._groups.get(likes.pop()) if len(likes) == 1 else None
        if group is None or not group.limit:
            return False
        group.tensors += tensors
        group.sinks += sinks
        group.keys += [key] * len(tensors)
        self.waiting += group.count * len(tensors)
        if len(group.keys) >= group.limit:
            self._flush(group)
        return True

    def flush(self) -> None:
        """Reduces everything that waits; call outside of transforms."""
        for group in self._groups.values():
            if group.tensors:
                self._flush(group)
        if len(self._groups) > MAX_GROUPS:
            self._groups.clear()

    def arrive(self) -> None:
        """Moves all numbers that are on other devices to Python."""
        elsewhere, self._elsewhere = self._elsewhere, []
        by_device: dict[torch.device, list[OnDevice]] = {}
        for item in elsewhere:
            by_device.setdefault(item.numbers.device, []).append(item)
        for items in by_device.values():
            try:
                moved = iter(torch.cat([i.numbers for i in items]).tolist())
            except BaseException as error:
                let_pass(error)
                self._drop(UNMEASURED, sum(len(i.keys) for i in items))
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
        tensors, sinks, keys = group.tensors, group.sinks, group.keys
        group.clear()
        self.waiting -= len(tensors) * group.count
        try:
            with _DisableAutocast():
                self._reduce(group, tensors, sinks, keys)
        except BaseException as error:
            let_pass(error)
            self._drop(UNMEASURED, len(tensors))

    def _reduce(
        self, group: _Group, tensors: list[Tensor], sinks: list[Any], keys: list[Any]
    ) -> None:
        kind = group.kind
        rows = torch.stack(tensors).reshape(len(tensors), -1)
        if rows.device.type != "cpu":
            reduced = reduce_rows(rows)
            numbers = torch.stack([r.to(reduced[0].dtype) for r in reduced], dim=1)
            self._elsewhere.append(OnDevice(kind, sinks, keys, numbers))
            return
        norms, lows, highs = map(Tensor.tolist, extent(rows))
        doubtful = not (min(norms) > kind.tiny and math.isfinite(sum(norms)))
        if doubtful:
            extents = zip(norms, lows, highs, strict=True)
            inexact = [i for i, row in enumerate(extents) if is_doubtful(kind, *row)]
            for i, norm in zip(inexact, exact_norms(rows[inexact]).tolist(), strict=True):
                norms[i] = norm
        found = rows_of(group.number, norms, lows, highs, count_nonzeros(rows).tolist())
        list(map(setitem, sinks, keys, found))
        if doubtful:
            for norm, tensor, sink, key in zip(norms, tensors, sinks, keys, strict=True):
                if not math.isfinite(norm):
                    sink[key] = nonfinite_row(kind, tensor, sink[key])

    def _reduce_one(self, tensor: Tensor, kind: Kind, sink: Any, key: object) -> None:
        if kind.template.count == 0:
            sink[key] = row_of(kind, 0.0, math.nan, math.nan, math.nan)
        elif tensor.layout is not torch.strided:
            if tensor.device.type != "cpu":  # to read it is to wait for the device
                self._drop("sparse tensors on an accelerator", 1)
            else:
                sink[key] = sparse(tensor, kind)
        else:
            dense, repeats = dense_form(tensor)
            reduced = reduce_one(dense)
            if dense.device.type == "cpu":
                sink[key] = row_on_cpu(kind, dense, reduced, repeats)
            else:
                self._elsewhere.append(on_device(kind, dense, reduced, repeats, sink, key))
