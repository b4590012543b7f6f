"""Traces that the tests of the rules share: runs of several backwards, updates, scaled graphs."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Sequence
from dataclasses import replace

from gradscope.diagnose import diagnose
from gradscope.model.finding import Finding, Report
from gradscope.model.graph import Graph, Source
from gradscope.model.stats import TensorStats
from gradscope.model.trace import (
    GradientHistory,
    Parameter,
    Step,
    Trace,
    Update,
    UpdateHistory,
)
from tests.builders import line, trace_with

BACKWARD = line(23, "loss.backward()", "loss.backward()")
STEP = line(24, "optimizer.step()", "optimizer.step()")


def scaled(graph: Graph, factor: float) -> Graph:
    """The graph as it would be if the loss were multiplied by ``factor``."""

    def scale(stats: TensorStats | None) -> TensorStats | None:
        if stats is None or stats.l2_norm is None or stats.min is None or stats.max is None:
            return stats
        return replace(
            stats,
            l2_norm=stats.l2_norm * factor,
            min=stats.min * factor,
            max=stats.max * factor,
        )

    return replace(
        graph,
        gradients={key: scale(s) for key, s in graph.gradients.items()},
        contributions={key: scale(s) for key, s in graph.contributions.items()},
    )


def run_of(graph: Graph, backwards: int = 5) -> Trace:
    """The same graph in so many backwards."""
    return trace_with(*[graph] * backwards)


def gradients(norms: Sequence[float], zeros: float = 0.0) -> GradientHistory:
    """One gradient per backward; NaN norms are measured and not finite, unless zeros is NaN."""
    n = len(norms)
    return GradientHistory(
        array("i", range(n)),
        array("d", norms),
        array("d", norms),
        array("d", norms),
        array("f", [zeros] * n),
        array("b", [1] * n),
    )


def updates(fresh: Sequence[int], carried: Sequence[int]) -> UpdateHistory:
    """One row per update."""
    n = len(fresh)
    ones = [1.0] * n
    return UpdateHistory(
        array("i", range(n)),
        array("i", fresh),
        array("i", carried),
        array("d", ones),
        array("d", ones),
        array("d", ones),
        array("i", [0] * n),
    )


def parameter(
    index: int = 0,
    name: str = "",
    *,
    gradient: GradientHistory | None = None,
    update: UpdateHistory | None = None,
    optimizer: str = "SGD",
) -> Parameter:
    """A parameter of ten elements."""
    return Parameter(
        index=index,
        name=name or f"net.{index}.weight",
        kind="parameter",
        shape=(10,),
        dtype="float32",
        device="cpu",
        count=10,
        optimizers=(optimizer,) if optimizer else (),
        gradients=gradient or GradientHistory(),
        updates=update or UpdateHistory(),
    )


def history_trace(
    norms: Sequence[float],
    losses: Sequence[float] | Callable[[int], float],
    *,
    roots: tuple[str, ...] = ("loss",),
) -> Trace:
    """A run of which only parameters were recorded, with one update after every backward."""
    values = [losses(i) for i in range(len(norms))] if callable(losses) else list(losses)
    steps = tuple(
        Step(index=i, loss=value, level="params", source=BACKWARD, roots=roots)
        for i, value in enumerate(values)
    )
    return Trace(
        steps=steps,
        updates=tuple(Update(i, i, "optimizer", "SGD", STEP) for i in range(len(norms))),
        parameters=(parameter(gradient=gradients(norms)),),
    )


def update_trace(
    *parameters: Parameter,
    count: int,
    backward: Source | None = BACKWARD,
    step: Source | None = STEP,
    per_update: int = 1,
) -> Trace:
    """A run with ``count`` updates, ``per_update`` backwards before each."""
    by_hand = all(not p.optimizers for p in parameters)
    return Trace(
        steps=tuple(
            Step(index=i, loss=1.0, source=backward, roots=("loss",), level="params")
            for i in range(count * per_update)
        ),
        updates=tuple(
            Update(
                i,
                (i + 1) * per_update - 1,
                "hand" if by_hand else "optimizer",
                "" if by_hand else "SGD",
                None if by_hand else step,
            )
            for i in range(count)
        ),
        parameters=parameters,
    )


def findings_of(report: Report, code: str) -> list[Finding]:
    """All findings of one rule, consequences included."""
    waiting, found = list(report.findings), []
    while waiting:
        finding = waiting.pop(0)
        waiting += finding.consequences
        if finding.code == code:
            found.append(finding)
    return found


def judge(trace: Trace, code: str) -> list[Finding]:
    """What one rule finds; it must have run."""
    report = diagnose(trace, select=[code])
    assert report.skipped == ()
    return findings_of(report, code)


NAN = math.nan
INF = math.inf
