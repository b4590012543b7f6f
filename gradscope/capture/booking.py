"""From raw steps to the finished ones: numbers arrive, histories grow, graphs are chosen."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from gradscope.capture.backward import BackwardRun
from gradscope.capture.engine import EngineCall
from gradscope.capture.forward import Window
from gradscope.capture.leaves import Leaf
from gradscope.capture.raw import RawGraph
from gradscope.capture.schedule import Gallery
from gradscope.capture.stats import Collector, Measured
from gradscope.capture.updates import Ledger
from gradscope.model.graph import Source
from gradscope.model.trace import Level, Step

SETTLE_STEPS = 32  # steps whose numbers may wait, so that small models pay less for each
SETTLE_NODES = 2000  # nodes of waiting graphs beyond which they are finished
_UNKNOWN = (math.nan,) * 4


@dataclass
class Pending:
    """A step between its beginning and the arrival of its numbers."""

    index: int
    level: Level
    call: EngineCall
    source: Source | None
    nested_in: int | None
    thread: str
    run: BackwardRun
    node_count: int
    chosen: bool = False
    roots: tuple[str, ...] = ()
    loss: int = -1  # ticket
    values: dict[int, int] = field(default_factory=dict)  # node id of a leaf → ticket
    raw: RawGraph | None = None
    own_ns: int = 0
    started_ns: int = 0
    backward_ns: int = 0
    error: str | None = None


class Booking:
    """Keeps what the finished trace is made of.

    Attributes:
        steps: Finished steps, in the order they finished.
        flagged: Whether the step finished last was not finite or raised.
    """

    def __init__(self, collector: Collector, ledger: Ledger, gallery: Gallery) -> None:
        self.steps: list[Step] = []
        self.flagged = False
        self._collector = collector
        self._ledger = ledger
        self._gallery = gallery
        self._stats: dict[int, Measured] = {}
        self._pending: list[Pending] = []
        self._nodes = 0

    def add(self, pending: Pending) -> None:
        """Takes a step whose engine run is over."""
        self._pending.append(pending)
        self._nodes += pending.node_count if pending.raw is not None else len(pending.run.leaves)
        urgent = pending.error is not None or self._nodes >= SETTLE_NODES
        if urgent or len(self._pending) >= SETTLE_STEPS:
            self.settle()

    def settle(self) -> None:
        """Reads the numbers that have arrived and finishes every waiting step."""
        self._stats.update(self._collector.settle())
        self._ledger.settle()
        waiting, self._pending, self._nodes = self._pending, [], 0
        for pending in waiting:
            self._finish(pending)

    def forget(self, windows: list[Window]) -> None:
        """Drops the numbers of windows that were dropped."""
        for window in windows:
            for _, _, _, ticket in window.results:
                self._stats.pop(ticket, None)

    def give_stats(self, raw: RawGraph, keep: bool) -> None:
        """Hands a graph the numbers behind its tickets."""
        take = self._stats.get if keep else self._stats.pop
        values = {t: s for t in raw.tickets.values() if (s := take(t, None)) is not None}
        others = [*raw.gradients.values(), *raw.contributions.values()]
        gradients = {t: s for t in others if t is not None and (s := self._stats.pop(t, None))}
        raw.stats = values | gradients

    def _finish(self, pending: Pending) -> None:
        finite = self._book_gradients(pending)
        loss = self._stats.pop(pending.loss, None)
        value = loss.numbers[1] if loss is not None else None
        finite = finite and (value is None or math.isfinite(value))
        self.flagged = pending.error is not None or not finite
        if pending.raw is not None:
            self.give_stats(pending.raw, pending.call.keep_graph)
            self._gallery.offer(pending.index, pending.raw, pending.chosen, self.flagged)
        else:
            for ticket in pending.run.gradients.values():
                self._stats.pop(-1 if ticket is None else ticket, None)
        self.steps.append(_step(pending, value))

    def _book_gradients(self, pending: Pending) -> bool:
        """Adds to the leaves' histories; returns whether everything was finite."""
        finite = True
        for node, leaf in pending.run.leaves.items():
            value = self._stats.get(pending.values.get(node, -1))
            leaf.value = value.stats() if value is not None else leaf.value
            if (node, 0) not in pending.run.gradients:
                continue
            ticket = pending.run.gradients[node, 0]
            stats = None if ticket is None else self._stats.get(ticket)
            _append(leaf, pending.index, ticket is not None, stats)
            finite = finite and (stats is None or stats.is_finite)
        return finite


def _append(leaf: Leaf, step: int, arrived: bool, measured: Measured | None) -> None:
    row = leaf.gradients
    norm, low, high, zeros = measured.numbers if measured is not None else _UNKNOWN
    row.step.append(step)
    row.arrived.append(arrived)
    row.norm.append(norm)
    row.min.append(low)
    row.max.append(high)
    row.zero_fraction.append(zeros)


def _step(pending: Pending, loss: float | None) -> Step:
    return Step(
        index=pending.index,
        kind="backward" if pending.call.fills_grad else "grad",
        source=pending.source,
        loss=loss,
        backward_ns=pending.backward_ns,
        level=pending.level,
        node_count=pending.node_count,
        roots=pending.roots,
        keep_graph=pending.call.keep_graph,
        create_graph=pending.call.create_graph,
        nested_in=pending.nested_in,
        thread=pending.thread,
        error=pending.error,
    )
