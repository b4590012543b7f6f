"""A trace with the measurements that several rules share, each made once on first use."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from gradscope.analysis.flow import Flow, flow
from gradscope.analysis.paths import deepest_node
from gradscope.model.graph import Graph, Source
from gradscope.model.trace import Parameter, Step, Trace

GRAPHS_PER_STORY = 12
"""Enough to tell a habit from an accident; a graph of 50,000 nodes takes about half a second."""


@dataclass(frozen=True)
class Story:
    """Backwards of one kind: started by the same line on results of the same name.

    A GAN has two stories, and their gradients must not be compared with each other.
    """

    source: Source | None
    roots: tuple[str, ...]
    kind: str
    steps: tuple[Step, ...]

    @property
    def judged(self) -> tuple[tuple[Step, Graph], ...]:
        """Steps whose whole graph was kept: first, last, and so many evenly between them."""
        kept = [(s, s.graph) for s in self.steps if s.graph is not None and s.graph.backward_ran]
        if len(kept) <= GRAPHS_PER_STORY:
            return tuple(kept)
        last = len(kept) - 1
        return tuple(kept[i * last // (GRAPHS_PER_STORY - 1)] for i in range(GRAPHS_PER_STORY))


class Run:
    """What rules read: the trace, and what follows from it."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        self._ends: dict[int, int | None] = {}
        self._flows: dict[int, Flow | None] = {}

    @cached_property
    def stories(self) -> tuple[Story, ...]:
        """The backwards of the run, those of one kind together."""
        found: dict[tuple[object, ...], list[Step]] = {}
        for step in self.trace.steps:
            line = step.source and (step.source.file, step.source.line)
            key = (line, step.roots, step.kind, step.nested_in is None)
            found.setdefault(key, []).append(step)
        return tuple(
            Story(steps[0].source, steps[0].roots, steps[0].kind, tuple(steps))
            for steps in found.values()
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

    @cached_property
    def norms(self) -> dict[int, float]:
        """Step index to the norm over all gradients that arrived at parameters in it.

        NaN where one was not measured or not a number. Inputs count only if nothing else is there.
        """
        owned = [p for p in self.trace.parameters if p.kind == "parameter"]
        squares: dict[int, float] = {}
        for parameter in owned or self.trace.parameters:
            history = parameter.gradients
            for step, norm, arrived in zip(
                history.step, history.norm, history.arrived, strict=True
            ):
                if arrived:
                    squares[step] = squares.get(step, 0.0) + norm * norm
        return {step: math.sqrt(square) for step, square in squares.items()}

    @cached_property
    def nonfinite_steps(self) -> tuple[int, ...]:
        """Indices of the steps in which a gradient was NaN or Inf, ascending."""
        found = {step for p in self.trace.parameters for step in _nonfinite(p)}
        found |= {step.index for step, graph in self.trace.graphs if _has_nonfinite(graph)}
        return tuple(sorted(found))

    def step(self, index: int) -> Step | None:
        """The step with that index."""
        steps = self.trace.steps
        if 0 <= index < len(steps) and steps[index].index == index:
            return steps[index]
        return next((s for s in steps if s.index == index), None)


def _nonfinite(parameter: Parameter) -> Sequence[int]:
    """Steps in which the parameter's gradient was not finite.

    A NaN norm also stands for "not measured"; what was measured has a share of zeros.
    """
    history = parameter.gradients
    zeros = history.zero_fraction if len(history.zero_fraction) else [math.nan] * len(history)
    return [
        step
        for step, norm, zero, arrived in zip(
            history.step, history.norm, zeros, history.arrived, strict=True
        )
        if arrived and (math.isinf(norm) or (math.isnan(norm) and not math.isnan(zero)))
    ]


def _has_nonfinite(graph: Graph) -> bool:
    return any(s is not None and s.is_finite is False for s in graph.gradients.values())
