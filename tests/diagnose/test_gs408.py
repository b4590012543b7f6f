from __future__ import annotations

from array import array
from dataclasses import replace

import pytest

from gradscope.model.graph import Graph, Traits
from gradscope.model.trace import GradientHistory, Trace
from tests.builders import GraphBuilder
from tests.diagnose.traces import BACKWARD, judge, parameter, update_trace, updates


def micro_batch(op: str = "MseLoss", *, divided: bool = False, given: float = 1.0) -> Graph:
    b = GraphBuilder()
    h = b.op("Mm", b.leaf("w", (8, 8), gradient=0.1), shape=(4, 8), gradient=0.1)
    h = b.op(op, h, shape=(), gradient=given)
    if divided:
        b.op("Div", h, shape=(), gradient=1.0)
    return b.graph()


def accumulated(graph: Graph, per_update: int, n: int = 4) -> Trace:
    backwards = n * per_update
    history = GradientHistory(
        array("i", range(backwards)),
        array("d", [1.0] * backwards),
        array("d", [1.0] * backwards),
        array("d", [1.0] * backwards),
        array("f", [0.0] * backwards),
        array("b", [1] * backwards),
    )
    owned = parameter(gradient=history, update=updates([per_update] * n, [0] * n))
    trace = update_trace(owned, count=n, per_update=per_update)
    return replace(trace, steps=tuple(replace(s, graph=graph) for s in trace.steps))


def test_means_that_are_summed_are_told() -> None:
    (finding,) = judge(accumulated(micro_batch(), 4), "GS408")
    assert finding.severity == "info"
    assert finding.message == (
        "`loss.backward()` (train.py:23) adds up the gradients of 4 backwards per update, each of "
        "a mean over its batch, without dividing by their number"
    )
    assert finding.where.source == BACKWARD
    assert finding.fix == "(loss / 4).backward()"


@pytest.mark.parametrize(
    "graph",
    [
        micro_batch(divided=True),
        micro_batch(given=0.25),  # loss.backward(torch.tensor(0.25))
        micro_batch("Sum"),
    ],
)
def test_a_sum_and_what_is_divided_are_healthy(graph: Graph) -> None:
    assert judge(accumulated(graph, 4), "GS408") == []


def test_a_loss_that_sums_by_itself_is_healthy() -> None:
    graph = micro_batch()
    root = graph.structure.roots[0]
    summed = replace(graph, traits={root: Traits(reduction="sum")})
    assert judge(accumulated(summed, 4), "GS408") == []
    mean = replace(graph, traits={root: Traits(reduction="mean")})
    assert len(judge(accumulated(mean, 4), "GS408")) == 1


@pytest.mark.parametrize(("per_update", "n", "expected"), [(1, 9, 0), (2, 2, 0), (2, 3, 1)])
def test_it_takes_three_updates_with_several(per_update: int, n: int, expected: int) -> None:
    assert len(judge(accumulated(micro_batch(), per_update, n), "GS408")) == expected


def test_two_losses_at_two_lines_are_healthy() -> None:
    trace = accumulated(micro_batch(), 2)
    other = replace(BACKWARD, line=99)
    steps = tuple(replace(s, source=other) if s.index % 2 else s for s in trace.steps)
    assert judge(replace(trace, steps=steps), "GS408") == []
