"""A trace with the measurements that several rules share, each made once on first use."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from random import Random

from gradscope.analysis.flow import Flow, flow
from gradscope.analysis.paths import deepest_node
from gradscope.diagnose.depth import Trend, trend_in
from gradscope.diagnose.layout import Layouts
from gradscope.diagnose.nonfinite import forward_origin
from gradscope.diagnose.through_time import Recurrence, recurrence
from gradscope.model.graph import Graph, Source
from gradscope.model.trace import Parameter, Step, Trace

GRAPHS_PER_STORY = 12  # enough to tell a habit from an accident
NODES_PER_STORY = 300_000  # a graph of 50,000 nodes takes about half a second
RECURRENCES = 4  # and the last: enough for a habit, and long sequences take their time
PLAYERS = 3  # so many losses may share one line of code


@dataclass(frozen=True)
class Story:
    """Backwards of one kind: started by the same line, for the same parameters.

    A GAN has two stories, and their gradients must not be compared with each other.
    """

    source: Source | None
    steps: tuple[Step, ...]

    @property
    def judged(self) -> tuple[tuple[Step, Graph], ...]:
        """Steps whose whole graph was kept: first, last, and so many evenly between them."""
        kept = [(s, s.graph) for s in self.steps if s.graph is not None and s.graph.backward_ran]
        largest = max((len(graph.structure.nodes) for _, graph in kept), default=0)
        most = max(3, min(GRAPHS_PER_STORY, NODES_PER_STORY // max(1, largest)))
        if len(kept) <= most:
            return tuple(kept)
        last = len(kept) - 1
        return tuple(kept[i * last // (most - 1)] for i in range(most))


def _by_parameters(steps: Sequence[Step], reached: Mapping[int, int]) -> list[list[Step]]:
    """Splits the backwards of one line by the parameters they reached.

    Helpers that run ``loss.backward()`` for two players are told apart so; a network that uses
    other experts in every step stays whole.
    """
    groups: dict[int, list[Step]] = {}
    for step in steps:
        groups.setdefault(reached.get(step.index, 0), []).append(step)
    players = list(groups.values())
    return players if len(players) <= PLAYERS and min(map(len, players)) >= 3 else [list(steps)]


class Run:
    """What rules read: the trace, and what follows from it."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self._layouts = Layouts()
        self._trends: dict[tuple[int, range], Trend] = {}
        self._ends: dict[int, int | None] = {}
        self._flows: dict[int, Flow | None] = {}
        self._recurrences: dict[int, tuple[tuple[int, Recurrence], ...]] = {}

    @cached_property
    def stories(self) -> tuple[Story, ...]:
        """The backwards of the run, those of one kind together."""
        lines: dict[tuple[object, ...], list[Step]] = {}
        for step in self.trace.steps:
            line = (step.source.file, step.source.line) if step.source else step.roots
            lines.setdefault((line, step.kind, step.nested_in is None), []).append(step)
        return tuple(
            Story(members[0].source, tuple(members))
            for steps in lines.values()
            for members in _by_parameters(steps, self._arrivals[1])
        )

    def main_flow(self, step: Step) -> Flow | None:
        """The way of most gradient from the loss to the input end of the network."""
        if step.index not in self._flows:
            self._flows[step.index] = self._main_flow(step.graph) if step.graph else None
        return self._flows[step.index]

    def _main_flow(self, graph: Graph) -> Flow | None:
        # The trace outlives this object, so no other structure can take over an id.
        key = id(graph.structure)
        if key not in self._ends:
            self._ends[key] = deepest_node(graph.structure)
        end = self._ends[key]
        return None if end is None else flow(graph, end)

    def trend(self, step: Step, graph: Graph, *, through_time: bool) -> Trend | None:
        """How the gradient's size changes along that way; None where there is none.

        Args:
            step: The backward.
            graph: Its graph.
            through_time: Whether the steps of a recurrence count like layers.
        """
        way = self.main_flow(step)
        if way is None:
            return None
        layout = self._layouts.of(graph.structure, way.nodes, through_time=through_time)
        key = (step.index, layout.recurrent)
        if key not in self._trends:
            self._trends[key] = trend_in(layout, graph, way)
        return self._trends[key]

    def trains(self, story: Story) -> bool:
        """Whether its backwards train anything: derivatives of derivatives grow without."""
        first, last = story.steps[0].index, story.steps[-1].index
        updated = any(first <= update.after_step < last for update in self.trace.updates)
        return updated or not any(step.create_graph for step in story.steps)

    def recurrences(self, story: Story) -> tuple[tuple[int, Recurrence], ...]:
        """Of a few graphs of the story, the last among them: step index and recurrence."""
        key = story.steps[0].index
        if key not in self._recurrences:
            judged = story.judged
            spread = range(0, len(judged), max(1, len(judged) // RECURRENCES))
            chosen = sorted({*spread, len(judged) - 1}) if judged else []
            self._recurrences[key] = tuple(
                (judged[i][0].index, found)
                for i in chosen
                if (found := recurrence(judged[i][1])) is not None
            )
        return self._recurrences[key]

    @property
    def norms(self) -> Mapping[int, float]:
        """Step index to the norm over all gradients that arrived at parameters in it.

        NaN where one was not measured or not a number. Inputs count only if nothing else is there.
        """
        return self._arrivals[0]

    @cached_property
    def _arrivals(self) -> tuple[dict[int, float], dict[int, int]]:
        """Per step: the norm over all gradients, and a number for the set of their parameters."""
        owned = [p for p in self.trace.parameters if p.kind == "parameter"]
        squares: dict[int, float] = {}
        reached: dict[int, int] = {}
        for parameter in owned or self.trace.parameters:
            history = parameter.gradients
            mark = Random(parameter.index).getrandbits(64)
            for step, norm, arrived in zip(
                history.step, history.norm, history.arrived, strict=True
            ):
                if arrived:
                    squares[step] = squares.get(step, 0.0) + norm * norm
                    reached[step] = reached.get(step, 0) ^ mark
        return {step: math.sqrt(square) for step, square in squares.items()}, reached

    @cached_property
    def nonfinite_steps(self) -> tuple[int, ...]:
        """Indices of the steps in which a gradient was NaN or Inf, ascending."""
        lost = [
            step.index
            for step in self.trace.steps
            if step.loss is not None and not math.isfinite(step.loss)
        ]
        # A NaN gradient ruins the weights, and with them the loss of the next step.
        doubtful_from = min(lost) - 1 if lost else math.inf
        found = {step for p in self.trace.parameters for step in _nonfinite(p, doubtful_from)}
        found |= {step.index for step, graph in self.trace.graphs if _has_nonfinite(graph)}
        return tuple(sorted(found))

    @cached_property
    def broken_steps(self) -> tuple[int, ...]:
        """Indices of the steps whose gradients or whose loss were not finite, ascending."""
        bad = set(self.nonfinite_steps)
        bad |= {
            step.index
            for step, graph in self.trace.graphs
            if graph.backward_ran and forward_origin(graph) is not None
        }
        return tuple(sorted(bad))

    def step(self, index: int) -> Step | None:
        """The step with that index."""
        steps = self.trace.steps
        if 0 <= index < len(steps) and steps[index].index == index:
            return steps[index]
        return next((s for s in steps if s.index == index), None)


def _nonfinite(parameter: Parameter, doubtful_from: float) -> Sequence[int]:
    """Steps in which the parameter's gradient was not finite.

    A NaN norm also stands for "not measured". What was measured has a share of zeros, except for
    NaN on an accelerator: in doubt the loss decides.
    """
    history = parameter.gradients
    zeros = history.zero_fraction if len(history.zero_fraction) else [math.nan] * len(history)
    return [
        step
        for step, norm, zero, arrived in zip(
            history.step, history.norm, zeros, history.arrived, strict=True
        )
        if arrived
        and (
            math.isinf(norm)
            or (math.isnan(norm) and (not math.isnan(zero) or step >= doubtful_from))
        )
    ]


def _has_nonfinite(graph: Graph) -> bool:
    return any(s is not None and s.is_finite is False for s in graph.gradients.values())
