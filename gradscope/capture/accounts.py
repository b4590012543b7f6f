"""The ledger's queue: what happened to gradients, and how it is booked once numbers are there."""

from __future__ import annotations

import math
from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, compress, groupby, islice, repeat
from operator import attrgetter, is_, not_
from typing import Any, NamedTuple, TypeVar

from torch import Tensor

from gradscope.capture.changes import Change, measure_grads, measure_updates, norms, to_floats
from gradscope.capture.leaves import Leaf

_E = TypeVar("_E")
_LOST = attrgetter("lost")
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
    moved = _norms_before(_only(Looked, events))
    starved: dict[int, int] = {}
    rows: _Rows = defaultdict(list)
    runs: Iterator[tuple[type, Iterator[Any]]] = groupby(events, type)
    for kind, run in runs:
        if kind is Leaf:
            _count(run)
        elif kind is Looked:
            for look in run:
                _clear_looked(look, moved)
        elif kind is Stepping:
            for step in run:
                _clear_at_step(step)
        else:
            for step in run:
                if count := _book(step, rows):
                    starved[step.update] = count
    _write(rows)
    return starved


def _only(kind: type[_E], events: Sequence[object]) -> list[_E]:
    """The events of one kind; most are leaves, which are passed over outside of Python's loop."""
    found: Iterator[Any] = compress(events, map(is_, map(type, events), repeat(kind)))
    return list(found)


def _norms_before(looks: Sequence[Looked]) -> Iterator[float]:
    return iter(to_floats(list(chain.from_iterable([look.norms for look in looks]))))


def _measure(events: Sequence[Event]) -> None:
    measure_grads([event.change for event in _only(Stepping, events)])
    changes = [event.change for event in _only(Stepped, events)]
    measure_updates(_only(Change, changes))
    _measure_by_hand(_only(HandChange, changes))


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


def _count(contributions: Iterable[Leaf]) -> None:
    for leaf in contributions:
        leaf.fresh += 1


def _clear_looked(look: Looked, moved: Iterator[float]) -> None:
    _clear(look.cleared)
    _clear(compress(look.asked, map(not_, islice(moved, len(look.norms)))))


def _clear_at_step(event: Stepping) -> None:
    leaves, change = event
    _clear(compress(leaves, map(not_, change.grad_norms)))  # NaN is true
    if len(change.with_grad) < len(leaves):
        without = set(range(len(leaves))) - set(change.with_grad)
        _clear([leaves[i] for i in without])


def _clear(leaves: Iterable[Leaf]) -> None:
    for leaf in leaves:
        if leaf.fresh:
            leaf.lost += leaf.fresh
            leaf.fresh = 0
        leaf.carried = 0


def _book(event: Stepped, rows: _Rows) -> int:
    """Makes a row for each leaf that took part; returns how many leaves were starved."""
    update, leaves, took_part, change = event
    robbed = list(filter(_LOST, leaves))
    starved = len([leaf for leaf in robbed if not leaf.fresh])
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
