"""From raw steps to the finished ones: numbers arrive, histories grow, graphs are chosen."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import repeat
from types import CodeType

from gradscope.capture.backward import BackwardRun
from gradscope.capture.engine import EngineCall
from gradscope.capture.held import Ticket
from gradscope.capture.histories import Arrivals, arrivals, book
from gradscope.capture.leaves import Leaf
from gradscope.capture.quiet import let_pass
from gradscope.capture.raw import RawGraph
from gradscope.capture.reduce import are_finite, measured, number_in
from gradscope.capture.schedule import Gallery
from gradscope.capture.snapshot import Snapshot
from gradscope.capture.stats import Collector
from gradscope.capture.updates import Ledger
from gradscope.model.events import Failure
from gradscope.model.graph import Source
from gradscope.model.trace import Level, Step

# Steps whose numbers may wait, so that small models pay less for each; of many more the copies
# would not stay in the processor's cache.
SETTLE_STEPS = 8
SETTLE_NODES = 2000  # nodes of waiting graphs beyond which they are finished


@dataclass(eq=False)
class Pending:
    """A step between its beginning and the arrival of its numbers."""

    index: int
    level: Level
    call: EngineCall
    place: tuple[CodeType, int] | None
    source: Source | None
    nested_in: int | None
    thread: str
    run: BackwardRun
    node_count: int
    chosen: bool = False
    roots: tuple[str, ...] = ()
    loss: Ticket | None = None
    raw: RawGraph | None = None
    made_before: int = 0  # the thread's count of nodes when the engine starts
    own_ns: int = 0
    started_ns: int = 0
    backward_ns: int = 0
    error: str | None = None
    failure: Failure | None = None


class Booking:
    """Keeps what the finished trace is made of.

    Attributes:
        steps: Finished steps, in the order they finished.
        flagged: Whether the step finished last was not finite or raised.
        failures: Steps whose numbers could not be read; they are there without.
    """

    def __init__(self, collector: Collector, ledger: Ledger, gallery: Gallery) -> None:
        self.steps: list[Step] = []
        self.flagged = False
        self.failures = 0
        self._collector = collector
        self._ledger = ledger
        self._gallery = gallery
        self._seen: dict[Leaf, tuple[Snapshot, int]] = {}  # the latest value of each: where, node
        self._pending: list[Pending] = []
        self._arrivals: list[Arrivals] = []  # of finished steps, not yet in the histories
        self._nodes = 0

    @property
    def is_settled(self) -> bool:
        """Whether no step waits for its numbers."""
        return not (self._pending or self._arrivals)

    def add(self, pending: Pending) -> None:
        """Takes a step whose engine run is over."""
        self._pending.append(pending)
        self._nodes += pending.node_count if pending.raw is not None else len(pending.run.leaves)
        much = self._nodes >= SETTLE_NODES or self._collector.is_half_full
        if much or len(self._pending) >= SETTLE_STEPS or pending.error is not None:
            self.settle()

    def settle(self) -> None:
        """Reads the numbers that have arrived and finishes every waiting step."""
        self._collector.arrive()
        self._ledger.settle()
        waiting, self._pending, self._nodes = self._pending, [], 0
        for pending in waiting:
            try:
                self._finish(pending)
            except BaseException as error:
                let_pass(error)
                self.failures += 1
                self.steps.append(_step(pending, None))
        self._book_arrivals()
        waiting.clear()
        self._collector.let_go()

    def _book_arrivals(self) -> None:
        found = self._arrivals
        try:
            books = book(found)
            self._arrivals = []
            list(books)
        except BaseException as error:
            let_pass(error)  # after an interrupt they are booked with the next
            self.failures += len(found)
            self._arrivals = []

    def finish(self) -> None:
        """At the end of the run: settles and has the leaves' last values measured."""
        self.settle()
        for raw in self._gallery.kept():
            raw.measure_leaves(self._collector)
        seen = [
            (leaf, snapshot.tickets(self._collector).get(node))
            for leaf, (snapshot, node) in self._seen.items()
        ]
        self._collector.settle()
        for leaf, ticket in seen:
            if ticket:
                leaf.value = measured(ticket).stats()

    def _finish(self, pending: Pending) -> None:
        found = arrivals(pending.index, pending.run)
        self._arrivals.append(found)
        value = number_in(pending.loss) if pending.loss else None
        finite = are_finite(found.rows) and (value is None or math.isfinite(value))
        self.flagged = pending.error is not None or not finite
        if pending.raw is not None:
            self._show(pending, pending.raw)
        self.steps.append(_step(pending, value))

    def _show(self, pending: Pending, raw: RawGraph) -> None:
        """Remembers where the latest values of the leaves are, and offers the graph."""
        if raw.leaf_values is not None:
            nodes = raw.leaf_values.nodes
            leaves = map(pending.run.leaves.__getitem__, nodes)
            self._seen.update(zip(leaves, zip(repeat(raw.leaf_values), nodes), strict=False))
        if pending.chosen or self.flagged:
            raw.measure_leaves(self._collector)
            self._collector.measure_held(raw.value_tickets().values())
        self._gallery.offer(
            pending.index, raw, pending.source, chosen=pending.chosen, flagged=self.flagged
        )


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
        made=_span(pending.raw),
        root_made=_root_made(pending.raw),
        failure=pending.failure,
    )


def _span(raw: RawGraph | None) -> tuple[int, int] | None:
    """Lowest and highest sequence number of the op nodes."""
    made = set(raw.sequence) - {-1} if raw is not None else ()
    return (min(made), max(made)) if made else None


def _root_made(raw: RawGraph | None) -> int | None:
    if raw is None:
        return None
    latest = max([raw.sequence[i] for i, _ in raw.plan.roots], default=-1)
    return None if latest < 0 else latest
