"""Which steps are seen at which level, and which whole graphs are kept."""

from __future__ import annotations

from collections import deque

from gradscope.capture.build import Builder
from gradscope.capture.options import CaptureOptions
from gradscope.capture.raw import RawGraph
from gradscope.model.graph import Graph
from gradscope.model.trace import Level

MAX_FLAGGED = 3


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
        self._alert = 2 if flagged else max(0, self._alert - 1)
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
    """Keeps a bounded choice of graphs: first, last, flagged, and an even spread between."""

    def __init__(self, options: CaptureOptions, builder: Builder) -> None:
        self._builder = builder
        self._wanted = {s for s in options.steps if s >= 0}
        tail = max((-s for s in options.steps if s < 0), default=1)
        self._last: deque[tuple[int, RawGraph]] = deque(maxlen=tail)
        self._tail = {s for s in options.steps if s < 0}
        self._spread: dict[int, RawGraph] = {}
        self._flagged: dict[int, RawGraph] = {}
        self._room = max(1, options.max_graphs - MAX_FLAGGED - 1)
        self._stride = 1
        self._offered = 0

    def choose(self, index: int) -> bool:
        """Whether the graph of the step that begins now will be kept for the spread."""
        chosen = self._chosen(index)
        self._offered += 1
        return chosen

    def offer(self, index: int, raw: RawGraph, chosen: bool, flagged: bool) -> None:
        """Shows the graph of a finished step, which is kept or soon forgotten."""
        if flagged and len(self._flagged) < MAX_FLAGGED:
            if not self._flagged and self._last:
                before, graph = self._last[-1]
                self._spread.setdefault(before, graph)
            self._flagged[index] = raw
        if chosen:
            self._spread[index] = raw
        self._last.append((index, raw))

    def _chosen(self, index: int) -> bool:
        if self._wanted or self._tail:
            return index in self._wanted
        if self._offered % self._stride:
            return False
        if len(self._spread) >= self._room:
            self._stride *= 2
            kept = list(self._spread.items())
            self._spread = dict(kept[::2])
        return self._offered % self._stride == 0

    def graphs(self, total: int) -> dict[int, Graph]:
        """Step index → graph, for a run of ``total`` steps."""
        kept = {**self._spread, **self._flagged}
        tail = {total + s for s in self._tail}
        for index, raw in self._last:
            if not self._tail or index in tail:
                kept[index] = raw
        return {index: self._builder.build(kept[index]) for index in sorted(kept)}
