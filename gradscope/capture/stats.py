"""Tensor → statistics, computed where the tensor lives and moved to Python in one go.

NOTE [Deferred statistics]
A call per tensor and number costs more than the small ops of a typical script, and ``.item()`` on
an accelerator waits for it. So small tensors wait in a group of equal shape and dtype until the
group is flushed, over several steps when the model is small, with one stacked reduction each;
large ones are reduced at once. On the CPU the few resulting numbers are read there and then;
elsewhere they stay on the device until ``settle`` moves them, all together. What waits is a copy:
the user may change a tensor in place or free it, and nothing of theirs is kept alive.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from itertools import repeat
from typing import Any

import torch
from torch import Tensor
from torch._C import _DisableAutocast

from gradscope.capture.held import HELD_ELEMENTS, LIGHT, Batch, Held, Ticket, Waiting
from gradscope.capture.quiet import let_pass, outside_transforms, transforms_active, uncollected
from gradscope.capture.readable import (
    PLAIN,
    Unreadable,
    has_no_numbers,
    is_wrapped,
    readable,
)
from gradscope.capture.reduce import (
    Kind,
    count_nonzeros,
    dense_form,
    exact_norms,
    extent,
    kind_of,
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
_WHOLE = slice(None)


class _Group:
    """Tensors of one kind that wait to be reduced together."""

    __slots__ = ("count", "keys", "kind", "limit", "sinks", "tensors")

    def __init__(self, kind: Kind, limit: int) -> None:
        self.kind = kind
        self.count = kind.template.count
        self.limit = limit  # tensors; 0: none waits
        self.clear()

    def clear(self) -> None:
        self.tensors: list[Tensor] = []
        self.sinks: list[Any] = []
        self.keys: list[Any] = []


class Collector:
    """Measures tensors and delivers the numbers of each to where they are wanted."""

    def __init__(self) -> None:
        self.dropped: dict[str, int] = {}
        self._groups: dict[object, _Group] = {}
        self._waiting = 0  # elements
        self._held = Held()
        self._elsewhere: list[OnDevice] = []
        self._later: list[Batch] = []
        self._numbers: list[tuple[Tensor, Ticket]] = []

    def add(self, tensor: Tensor, own: bool = False) -> Ticket:
        """Measures a tensor as it is now.

        Args:
            tensor: Any strided, sparse or complex tensor.
            own: Whether nobody else has it.
        """
        ticket = Ticket()
        self.put(tensor, ticket, _WHOLE, own)
        return ticket

    def add_number(self, number: Tensor) -> Ticket:
        """Measures a tensor of one element together with others of the kind, such as losses."""
        if type(number) is not Tensor or is_wrapped(number) or transforms_active():
            return self.add(number)
        if has_no_numbers(number):
            return self.add(number)
        ticket = Ticket()
        self._numbers.append((number.detach().clone(), ticket))
        self._waiting += 1
        return ticket

    def hold(self, tensor: Tensor) -> Ticket:
        """Measures a forward result now if it is large, else only if somebody will want to know."""
        count = tensor.numel()
        plain = type(tensor) in PLAIN and not is_wrapped(tensor)
        if count > LIGHT or not plain or transforms_active():
            return self.add(tensor)
        ticket = self._held.value(tensor, count)
        self._make_room()
        return ticket

    def hold_batch(self, batch: Batch) -> None:
        """The same for gradients of one backward; there may be too much held after it."""
        self._held.batch(batch)

    @property
    def is_half_full(self) -> bool:
        """Whether much is held that might be let go of."""
        return self._held.elements > HELD_ELEMENTS // 2

    def measure_held(self, tickets: Iterable[Ticket | None]) -> None:
        """Has held values measured that are certain to be wanted."""
        self._put_own(self._held.values({id(ticket) for ticket in tickets}))

    def let_go(self) -> None:
        """Lets go of what is held and nobody wants any more."""
        self._held.prune()

    def put_batch(self, batch: Batch) -> None:
        """Measures gradients of one backward."""
        self._put_own(batch.take())

    def measure_later(self, batch: Batch) -> Batch:
        """Measures gradients of one backward together with the same ones of the next.

        Returns:
            An empty batch with the same sink.
        """
        if batch.elements:
            self._later.append(batch)
            self._waiting += batch.elements
            if self._waiting > WAITING_ELEMENTS:
                self._flush_groups()
        return Batch(batch.sink)

    def _gather(self) -> None:
        """Puts what is to be measured later into groups: one gradient of all backwards at once."""
        later, self._later = self._later, []
        numbers, self._numbers = self._numbers, []
        if numbers:
            self._waiting -= len(numbers)
            self._put_alike([n for n, _ in numbers], [ticket for _, ticket in numbers], _WHOLE)
        alike: dict[tuple[object, ...], list[Batch]] = {}
        for batch in later:
            self._waiting -= batch.elements
            alike.setdefault(tuple(batch.keys()), []).append(batch)
        for keys, batches in alike.items():
            sinks = [batch.sink for batch in batches]
            gradients = zip(*(batch.tensors() for batch in batches), strict=True)
            for key, same in zip(keys, gradients, strict=True):
                self._put_alike(same, sinks, key)

    def _put_alike(self, tensors: Sequence[Tensor], sinks: list[Any], key: object) -> None:
        """Has copies measured that most likely have one shape and dtype."""
        like = _like(tensors[0])
        group = self._groups.get(like)
        if group is None or not group.limit or any(_like(tensor) != like for tensor in tensors):
            self._put_own(zip(tensors, sinks, repeat(key), strict=False))
            return
        group.tensors += tensors
        group.sinks += sinks
        group.keys += [key] * len(tensors)
        self._waiting += group.count * len(tensors)
        if len(group.keys) >= group.limit:
            self._flush(group)

    def _put_own(self, waiting: Iterable[Waiting]) -> None:
        for tensor, sink, key in waiting:
            self.put(tensor, sink, key, own=True)

    def _make_room(self) -> None:
        if self._held.elements > HELD_ELEMENTS:
            self._put_own(self._held.excess())

    def put(self, tensor: Tensor, sink: Any, key: object, own: bool = False) -> None:
        """Sets ``sink[key]`` to a row for ``measured``, by ``settle`` at the latest.

        Nothing is set when the tensor cannot be read. Call with torch functions disabled.

        Args:
            tensor: What to measure as it is now.
            sink: Where its numbers arrive.
            key: At which key.
            own: Whether nobody else has the tensor, so that it may wait itself.
        """
        try:
            if transforms_active():
                with outside_transforms():
                    self._put(readable(tensor), sink, key, own)
            elif type(tensor) in PLAIN and not is_wrapped(tensor):
                self._put(tensor, sink, key, own)
            else:
                self._put(readable(tensor), sink, key, own)
        except Unreadable:
            self.drop(
                "tensors without readable numbers (fake, freed or function-transform wrapped)"
            )
        except BaseException as error:
            let_pass(error)
            self.drop("tensors that could not be measured")

    def _put(self, tensor: Tensor, sink: Any, key: object, own: bool) -> None:
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
        self._waiting += group.count
        if len(group.keys) >= group.limit:
            self._flush(group)
        elif self._waiting > WAITING_ELEMENTS:
            self._flush_groups()

    def drop(self, reason: str, count: int = 1) -> None:
        """Counts something that was not measured."""
        self.dropped[reason] = self.dropped.get(reason, 0) + count

    def _flush_groups(self) -> None:
        if not self._waiting:
            return
        with uncollected(), outside_transforms() if transforms_active() else nullcontext():
            self._gather()
            for group in self._groups.values():
                if group.tensors:
                    self._flush(group)
        if len(self._groups) > MAX_GROUPS:
            self._groups.clear()

    def settle(self) -> None:
        """Reduces every waiting tensor and every one held, and moves all numbers to Python."""
        self._put_own(self._held.take())
        self.arrive()

    def arrive(self) -> None:
        """The same for all but what is held."""
        self._flush_groups()
        elsewhere, self._elsewhere = self._elsewhere, []
        by_device: dict[torch.device, list[OnDevice]] = {}
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
        tensors, sinks, keys = group.tensors, group.sinks, group.keys
        group.clear()
        self._waiting -= len(tensors) * group.count
        try:
            with _DisableAutocast():
                self._reduce(group.kind, tensors, sinks, keys)
        except BaseException as error:
            let_pass(error)
            self.drop("tensors that could not be measured", len(tensors))

    def _reduce(self, kind: Kind, tensors: list[Tensor], sinks: list[Any], keys: list[Any]) -> None:
        rows = torch.stack(tensors).reshape(len(tensors), -1)
        if rows.device.type != "cpu":
            reduced = reduce_rows(rows)
            numbers = torch.stack([r.to(reduced[0].dtype) for r in reduced], dim=1)
            self._elsewhere.append(OnDevice(kind, sinks, keys, numbers))
            return
        norms, lows, highs = (numbers.tolist() for numbers in extent(rows))
        doubtful = not (min(norms) > kind.tiny and math.isfinite(sum(norms)))
        if doubtful:
            extents = zip(norms, lows, highs, strict=True)
            inexact = [i for i, row in enumerate(extents) if is_doubtful(kind, *row)]
            for i, norm in zip(inexact, exact_norms(rows[inexact]).tolist(), strict=True):
                norms[i] = norm
        found = rows_of(kind, norms, lows, highs, count_nonzeros(rows).tolist())
        for sink, key, row in zip(sinks, keys, found, strict=True):
            sink[key] = row
        if doubtful:
            for norm, tensor, sink, key in zip(norms, tensors, sinks, keys, strict=True):
                if not math.isfinite(norm):
                    sink[key] = nonfinite_row(kind, tensor, sink[key])

    def _reduce_one(self, tensor: Tensor, kind: Kind, sink: Any, key: object) -> None:
        if kind.template.count == 0:
            sink[key] = row_of(kind, 0.0, math.nan, math.nan, math.nan)
        elif tensor.layout is not torch.strided:
            if tensor.device.type != "cpu":  # to read it is to wait for the device
                self.drop("sparse tensors on an accelerator")
            else:
                sink[key] = sparse(tensor, kind)
        else:
            dense, repeats = dense_form(tensor)
            reduced = reduce_one(dense)
            if dense.device.type == "cpu":
                sink[key] = row_on_cpu(kind, dense, reduced, repeats)
            else:
                self._elsewhere.append(on_device(kind, dense, reduced, repeats, sink, key))


def _like(tensor: Tensor) -> tuple[object, ...]:
    """Equal for tensors that can be stacked."""
    return tensor.shape, tensor.dtype, tensor.device, tensor.layout
