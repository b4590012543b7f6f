"""The ledger's queue: what happened to gradients, and how it is booked once numbers are there."""

from __future__ import annotations

import math
from array import array
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, compress
from operator import attrgetter
from typing import NamedTuple

from torch import Tensor

from gradscope.capture.changes import Change, measure_grads, measure_updates, norms, to_floats
from gradscope.capture.leaves import Leaf

_Rows = defaultdict[Leaf, list[tuple[float, ...]]]
# In the order of a row.
_COLUMNS = attrgetter("update", "fresh", "carried", "grad_norm", "value_rms", "update_rms", "lost")


class Looked(NamedTuple):
    """Before a backward: what ``.grad`` was; cleared where the norm is 0."""

    cleared: list[Leaf]
    asked: list[Leaf]
    norms: list[Tensor]  # of those asked


class Stepping(NamedTuple):
    """Before an optimizer's step."""

    leaves: list[Leaf]
    change: Change


class HandChange:
    """What an update by hand did to the elements that are compared to notice it.

    Attributes:
        grad_norms: NaN: what was used of ``.grad`` is not known.
        value_rms: RMS of each leaf's elements before.
        update_rms: RMS of their change.
    """

    __slots__ = ("_samples", "grad_norms", "update_rms", "value_rms")

    def __init__(self, samples: list[tuple[Tensor, Tensor]]) -> None:
        self._samples = samples  # before and after
        self.grad_norms = [math.nan] * len(samples)
        self.value_rms = list(self.grad_norms)
        self.update_rms = list(self.grad_norms)

    def take(self) -> list[tuple[Tensor, Tensor]]:
        """The samples, which are then let go."""
        samples, self._samples = self._samples, []
        return samples


class Stepped(NamedTuple):
    """After an optimizer's step, or an update by hand."""

    update: int
    leaves: list[Leaf]
    took_part: Sequence[bool]
    change: Change | HandChange


Event = Leaf | Looked | Stepping | Stepped  # a leaf: a contribution to its ``.grad``


def settle(events: Sequence[Event]) -> Mapping[int, int]:
    """Moves waiting numbers to Python and books the events in their order.

    Returns:
        Index of each update that starved leaves, and how many.
    """
    _measure(events)
    moved = iter(to_floats([n for e in events if isinstance(e, Looked) for n in e.norms]))
    starved: dict[int, int] = {}
    rows: _Rows = defaultdict(list)
    for event in events:
        if isinstance(event, Leaf):
            event.fresh += 1
        elif isinstance(event, Looked):
            _clear(event.cleared)
            _clear(leaf for leaf in event.asked if next(moved) == 0.0)
        elif isinstance(event, Stepping):
            _clear_at_step(event)
        elif count := _book(event, rows):
            starved[event.update] = count
    _write(rows)
    return starved


def _measure(events: Sequence[Event]) -> None:
    measure_grads([e.change for e in events if isinstance(e, Stepping)])
    changes = [e.change for e in events if isinstance(e, Stepped)]
    measure_updates([c for c in changes if isinstance(c, Change)])
    _measure_by_hand([c for c in changes if isinstance(c, HandChange)])


def _measure_by_hand(changes: Sequence[HandChange]) -> None:
    pairs = [change.take() for change in changes]
    comparable = [(b, a) for pair in pairs for b, a in pair if _comparable(b, a)]
    values = iter(to_floats(norms([before for before, _ in comparable])))
    moves = iter(to_floats(norms([after - before for before, after in comparable])))
    for change, pair in zip(changes, pairs, strict=True):
        for i, (before, after) in enumerate(pair):
            if _comparable(before, after):
                root = math.sqrt(before.numel())
                change.value_rms[i] = next(values) / root
                change.update_rms[i] = next(moves) / root


def _comparable(before: Tensor, after: Tensor) -> bool:
    alike = before.shape == after.shape and before.dtype is after.dtype
    return alike and before.device == after.device and before.numel() > 0


def _clear_at_step(event: Stepping) -> None:
    norms_of = zip(event.leaves, event.change.grad_norms, strict=True)
    _clear(leaf for leaf, norm in norms_of if norm == 0.0)
    without = set(range(len(event.leaves))) - set(event.change.with_grad)
    _clear(event.leaves[i] for i in without)


def _clear(leaves: Iterable[Leaf]) -> None:
    for leaf in leaves:
        leaf.lost += leaf.fresh
        leaf.fresh = leaf.carried = 0


def _book(event: Stepped, rows: _Rows) -> int:
    """Makes a row for each leaf that took part; returns how many leaves were starved."""
    update, leaves, took_part, change = event
    robbed = [leaf for leaf in leaves if leaf.lost]
    starved = sum(not leaf.fresh for leaf in robbed)
    numbers = zip(leaves, change.grad_norms, change.value_rms, change.update_rms, strict=True)
    for leaf, grad, value, moved in compress(numbers, took_part):
        rows[leaf].append((update, leaf.fresh, leaf.carried, grad, value, moved, leaf.lost))
        leaf.carried += leaf.fresh
        leaf.fresh = 0
    for leaf in robbed:
        leaf.lost = 0
    return starved


def _write(rows: _Rows) -> None:
    """Adds the rows to the columns of the leaves' histories: all at once, for interrupts."""
    columns = chain.from_iterable([_COLUMNS(leaf.updates) for leaf in rows])
    numbers = chain.from_iterable([zip(*of_leaf, strict=True) for of_leaf in rows.values()])
    list(map(array.extend, columns, numbers))
