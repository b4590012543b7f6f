from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from gradscope.model.finding import Finding
from gradscope.model.graph import Graph, Traits
from gradscope.model.stats import TensorStats
from tests.builders import GraphBuilder, line, stats
from tests.diagnose.graph_traces import trained
from tests.diagnose.traces import judge, scaled


def constant(value: float, shape: tuple[int, ...]) -> TensorStats:
    return replace(stats(abs(value), shape), min=value, max=value)


def net(
    *,
    equal: bool | None = True,
    rms: float = 0.1,
    low: float = 0.1,
    high: float = 0.1,
    rows: int = 6,
    turned: bool = True,
    layers: int = 2,
) -> Graph:
    """A layer ``w`` whose rows get equal gradients, before (or, not turned, behind) another."""
    b = GraphBuilder()
    h = b.leaf("x", (4, 3), kind="input")
    if not turned and layers > 1:
        h = b.op("Mm", h, b.leaf("v", (3, rows), gradient=0.2), shape=(4, rows), gradient=0.1)
    leaf = weight = b.leaf("w", (rows, 3), gradient=rms)
    b.drafts[-1].value = replace(constant(low, (rows, 3)), max=high)
    if turned:
        weight = b.op("T", weight, shape=(3, rows), gradient=rms)
    h = b.op("Mm", h, weight, shape=(4, rows), gradient=0.1, source=line(9, "h = layer(x)"))
    if turned and layers > 1:
        v = b.op("T", b.leaf("v", (2, rows), gradient=0.2), shape=(rows, 2))
        h = b.op("Mm", b.op("Tanh", h, gradient=0.1), v, shape=(4, 2), gradient=0.1)
    b.op("MseLoss", h, shape=(), gradient=1.0)
    return replace(b.graph(), traits={b.ids[leaf]: Traits(equal_rows=equal)})


def found(graphs: Sequence[Graph]) -> list[Finding]:
    return judge(trained(graphs), "GS109")


@pytest.mark.parametrize("turned", [True, False])
@pytest.mark.parametrize("factor", [1e-8, 1.0, 1e8])
def test_units_that_are_all_the_same(turned: bool, factor: float) -> None:
    (finding,) = found([scaled(net(turned=turned), factor)] * 4)
    assert finding.severity == "warning"
    assert finding.message == (
        "the gradient of `w` is the same in every row: the 6 units of `w` do the same and stay "
        "the same"
    )
    assert finding.where.parameter == "w"
    assert finding.where.source == line(9, "h = layer(x)")


def test_weights_that_were_constant_at_first_may_have_moved() -> None:
    assert len(found([net(), *[net(low=0.05, high=0.2)] * 3])) == 1


def test_a_graph_whose_rows_were_not_compared_says_nothing() -> None:
    unasked = replace(net(), traits={})
    (finding,) = found([net(rms=0.0), *[net(), unasked, net(equal=None), unasked] * 3])
    assert (finding.seen, finding.steps) == (3, (1, 9))
    assert found([*[net(), unasked] * 3, net(equal=False), unasked]) == []


@pytest.mark.parametrize(
    "graphs",
    [
        [net()] * 2,
        [net(equal=False)] * 4,
        [net(rms=0.0)] * 4,  # nothing arrives at all
        [net(rows=1)] * 4,
        [net(low=-0.3, high=0.3)] * 4,  # random weights: outputs that are averaged
        [net(layers=1)] * 4,  # the outputs themselves
        [net(layers=1, turned=False)] * 4,
        [net(), net(), *[net(equal=False)] * 6],  # broke up
    ],
)
def test_silence(graphs: Sequence[Graph]) -> None:
    assert found(graphs) == []
