"""What the training loop calls besides backward and step, kept in bounds.

Of each line only the first and the last calls are kept: how a loop begins and how it ends tells
how it is written, and a long run must not grow.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection
from itertools import chain
from time import perf_counter_ns
from types import FrameType

from torch import Tensor

from gradscope.capture.held import Ticket
from gradscope.capture.leaves import Leaf
from gradscope.capture.optimizers import Line
from gradscope.capture.quiet import quiet
from gradscope.capture.reduce import measured
from gradscope.capture.stats import Collector
from gradscope.capture.updates import Ledger
from gradscope.model.events import Call, CallKind
from gradscope.model.graph import Source

KEPT = 200  # calls of each kind and line, at the beginning and at the end
MAX_LINES = 500

_Key = tuple[CallKind, int, int, Source | None, str, float, float]


class _Noted:
    """One call, or equal ones in a row."""

    __slots__ = ("count", "key", "leaf", "number", "tickets")

    def __init__(self, number: int, key: _Key, leaf: Leaf | None, tickets: list[Ticket]) -> None:
        self.number = number
        self.key = key
        self.leaf = leaf
        self.tickets = tickets
        self.count = 1

    def freeze(self) -> Call:
        """The finished form."""
        kind, after_step, after_update, source, label, value, limit = self.key
        if self.tickets:
            numbers = [measured(t).low if t else math.nan for t in self.tickets]
            value = float(not any(numbers)) if kind == "scaler_step" else numbers[0]
        if not label and self.leaf is not None and self.leaf.optimizers:
            label = self.leaf.optimizers[0]
        return Call(kind, after_step, after_update, source, label, value, limit, self.count)


class _Line:
    """The calls of one kind and line."""

    __slots__ = ("first", "last")

    def __init__(self) -> None:
        self.first: list[_Noted] = []
        self.last: deque[_Noted] = deque(maxlen=KEPT)

    def add(self, noted: _Noted) -> None:
        """Keeps it, and lets go of one in the middle."""
        if len(self.first) < KEPT:
            self.first.append(noted)
        else:
            self.last.append(noted)


class Calls:
    """Notes calls in their order.

    Args:
        ledger: Knows the steps and updates so far.
        collector: Reads numbers that are tensors, later.
        line: Gives the user's line at or above a frame.

    Attributes:
        dropped: Calls from lines beyond the limit.
    """

    def __init__(self, ledger: Ledger, collector: Collector, line: Line) -> None:
        self.dropped = 0
        self.own_ns = 0
        self._ledger = ledger
        self._collector = collector
        self._line = line
        self._lines: dict[tuple[CallKind, Source | None], _Line] = {}
        self._latest: _Noted | None = None
        self._count = 0

    def note(
        self,
        kind: CallKind,
        frame: FrameType | None = None,
        *,
        label: str = "",
        value: float = math.nan,
        limit: float = math.nan,
        leaf: Leaf | None = None,
        numbers: Collection[Tensor] = (),
    ) -> None:
        """Adds a call.

        Args:
            kind: What was called.
            frame: The user's line is at or above it; without one, that is running now.
            label: What it belongs to.
            value: A number it came up with.
            limit: A number it was given.
            leaf: A parameter it was called for, whose optimizer it belongs to.
            numbers: Tensors of one element in the place of ``value``.
        """
        started = perf_counter_ns()
        source = self._line(frame)
        after = (self._ledger.last_step, len(self._ledger.updates) - 1)
        key = (kind, *after, source, label, value, limit)
        tickets = self._measured(numbers) if numbers else []
        latest = self._latest
        if latest is not None and latest.key == key and not (tickets or latest.tickets):
            latest.count += 1
        else:
            self._latest = _Noted(self._count, key, leaf, tickets)
            self._count += 1
            self._keep(self._latest, (kind, source))
        self.own_ns += perf_counter_ns() - started

    def _measured(self, numbers: Collection[Tensor]) -> list[Ticket]:
        with quiet():
            return [self._collector.add(tensor) for tensor in numbers]

    def _keep(self, noted: _Noted, place: tuple[CallKind, Source | None]) -> None:
        line = self._lines.get(place)
        if line is None:
            if len(self._lines) >= MAX_LINES:
                self.dropped += 1
                return
            line = self._lines[place] = _Line()
        line.add(noted)

    def freeze(self) -> tuple[Call, ...]:
        """The finished, torch-free form; call when the collector has settled."""
        kept = chain.from_iterable((*line.first, *line.last) for line in self._lines.values())
        return tuple(noted.freeze() for noted in sorted(kept, key=lambda n: n.number))
