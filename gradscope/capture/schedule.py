"""Which steps are seen at which level, and which whole graphs are kept."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable

from gradscope.capture.build import Builder
from gradscope.capture.options import CaptureOptions
from gradscope.capture.raw import RawGraph
from gradscope.model.graph import Graph
from gradscope.model.trace import Level

MAX_FLAGGED = 3
MAX_KINDS = 4  # kinds of backward whose graphs are spread separately
LARGE = 1000  # nodes of a graph from which keeping every one of the first costs too much
FIRST_LARGE, LARGE_STRIDE = 3, 4  # so many of those, then every fourth


class Schedule:
    """Decides, before each step's forward begins, at which level the step will be seen."""

    def __init__(self, options: CaptureOptions) -> None:
        self._options = options
        self._seen = 0  # steps at full level
        self._alert = 0  # steps still to be seen because the last one was flagged
        self._full_ns = 0  # spent in steps at full level beyond the first ones
        self._rest_ns = 0  # the user's own time in all steps since
        self.level: Level = self._decide(0)

    def advance(self, index: int, own_ns: int, total_ns: int, flagged: bool) -> None:
        """Takes note of a finished step and decides about the next.

        Args:
            index: The finished step.
            own_ns: What gradscope spent on it, its forward included.
            total_ns: Time since the step before it ended.
            flagged: Whether something was wrong with it.
        """
        if self.level == self._options.level:
            self._seen += 1
        if self._seen > self._options.always_seen:
            self._full_ns += own_ns
            self._rest_ns += max(0, total_ns - own_ns)
        self._alert = 2 if flagged else self._alert and self._alert - 1
        self.level = self._decide(index + 1)

    def _decide(self, index: int) -> Level:
        options = self._options
        if options.steps:
            tail = any(s < 0 for s in options.steps)
            return options.level if tail or index in options.steps else "params"
        if options.every is not None:
            return options.level if index % options.every == 0 else "params"
        if self._seen < options.always_seen or self._alert:
            return options.level
        affordable = self._full_ns <= options.budget * self._rest_ns
        return options.level if affordable else "params"


class Gallery:
    """Keeps a bounded choice of graphs: first, last, flagged, and an even spread between.

    Backwards of different kinds, such as those of a GAN's two players, are spread apart: the
    choice is made per kind, so that none is left out by an unlucky stride.
    """

    def __init__(self, options: CaptureOptions, builder: Builder) -> None:
        self._builder = builder
        self._exact = {s for s in options.steps if s >= 0}
        self._tail = {s for s in options.steps if s < 0}
        self._last: deque[tuple[int, RawGraph]] = deque(maxlen=max([1, *(-s for s in self._tail)]))
        self._last_of: dict[Hashable, tuple[int, RawGraph]] = {}
        self._spread: dict[Hashable, _Spread] = {}
        self._flagged: dict[int, RawGraph] = {}
        self._asked_for: dict[int, RawGraph] = {}
        self._room = max(1, options.max_graphs - MAX_FLAGGED - 1)

    def choose(self, index: int, kind: Hashable, nodes: int) -> bool:
        """Whether the graph of the step that begins now will be kept for the spread.

        Args:
            index: The step.
            kind: What tells it from other kinds of backward, such as the line that called it.
            nodes: Of the graph.
        """
        if self._exact or self._tail:
            return index in self._exact
        return self._spread_of(kind).choose(index, LARGE_STRIDE if nodes >= LARGE else 1)

    def offer(
        self, index: int, raw: RawGraph, kind: Hashable, *, chosen: bool, flagged: bool
    ) -> None:
        """Shows the graph of a finished step, which is kept or soon forgotten."""
        if flagged and len(self._flagged) < MAX_FLAGGED:
            if not self._flagged and self._last:
                before, graph = self._last[-1]
                self._flagged[before] = graph
            self._flagged[index] = raw
        if chosen and index in self._exact:
            self._asked_for[index] = raw
        elif chosen:
            spread = self._spread_of(kind)
            spread.keep(index, raw)
            spread.thin(max(1, self._room // len(self._spread)))
        self._last.append((index, raw))
        self._last_of[kind if kind in self._spread else None] = (index, raw)

    def graphs(self, total: int) -> dict[int, Graph]:
        """Step index → graph, for a run of ``total`` steps."""
        room = max(1, self._room // max(1, len(self._spread)))
        kept = {**self._flagged, **self._asked_for}
        for spread in self._spread.values():
            spread.thin(room)
            kept.update(spread.kept)
        if self._tail:
            wanted = {total + s for s in self._tail}
            kept.update(item for item in self._last if item[0] in wanted)
        elif not self._exact:
            kept.update([*self._last, *self._last_of.values()])
        return {index: self._builder.build(kept[index]) for index in sorted(kept)}

    def kept(self) -> list[RawGraph]:
        """Every graph that is kept at the moment."""
        return list(self.kept_by_step().values())

    def kept_by_step(self) -> dict[int, RawGraph]:
        """The same by the index of their step."""
        kept = {**self._flagged, **self._asked_for}
        for spread in self._spread.values():
            kept.update(spread.kept)
        kept.update([*self._last, *self._last_of.values()])
        return kept

    def _spread_of(self, kind: Hashable) -> _Spread:
        spread = self._spread.get(kind)
        if spread is None:
            kind = kind if len(self._spread) < MAX_KINDS else None
            spread = self._spread.setdefault(kind, _Spread())
        return spread


class _Spread:
    """Graphs of one kind, every ``stride``-th of those met."""

    def __init__(self) -> None:
        self.kept: dict[int, RawGraph] = {}
        self._stride = 1
        self._met = 0
        self._places: dict[int, int] = {}  # step index → place among those met

    def choose(self, index: int, stride: int) -> bool:
        """Whether to keep the next graph, of step ``index``; beyond the first only at a stride."""
        place = self._met
        self._met += 1
        if place % self._stride or (place >= FIRST_LARGE and place % stride):
            return False
        self._places[index] = place
        return True

    def keep(self, index: int, raw: RawGraph) -> None:
        """Takes a chosen graph, unless the stride has grown past it since."""
        if index in self._places:
            self.kept[index] = raw

    def thin(self, room: int) -> None:
        """Doubles the stride until what is kept fits; what is off it goes, however late it came."""
        while sum(self._places[i] % self._stride == 0 for i in self.kept) > room:
            self._stride *= 2
        self._places = {i: p for i, p in self._places.items() if p % self._stride == 0}
        self.kept = {i: raw for i, raw in self.kept.items() if i in self._places}
