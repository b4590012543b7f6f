from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from gradscope.model.graph import Graph
from tests.builders import GraphBuilder, line, stats, trace_with
from tests.diagnose.traces import judge, run_of, scaled


def two_terms(large: float, small: float, *, factor: bool = False, penalty: bool = False) -> Graph:
    """A trunk whose result two losses of these gradients share."""
    b = GraphBuilder()
    w = b.leaf("trunk.weight", (8, 8), gradient=1.0)
    trunk = b.op("Mm", w, shape=(4, 8), gradient=large)
    first = b.op("Mm", trunk, b.leaf("a", (8, 3), gradient=1.0), shape=(4, 3), gradient=large)
    first = b.op("MseLoss", first, shape=(), gradient=1.0, label="first", source=line(10))
    if penalty:
        second = b.op("Pow", w, shape=(8, 8), gradient=small)
        second = b.op("Sum", second, shape=(), gradient=1.0)
    else:
        second = b.op("Mm", trunk, b.leaf("b", (8, 3), gradient=1.0), shape=(4, 3), gradient=small)
        second = b.op("MseLoss", second, shape=(), gradient=1.0, label="second", source=line(11))
    if factor:
        second = b.op("Mul", second, shape=(), gradient=1.0)
    b.op("Add", first, second, shape=(), gradient=1.0)
    graph = b.graph()
    shared = b.ids[w if penalty else trunk]
    sizes = [stats(value, (4, 8)) for value in (large, small)]
    edges = sorted(graph.structure.incoming[shared], key=lambda e: _of_second(graph, e))
    return replace(graph, contributions=dict(zip(edges, sizes, strict=True)))


def _of_second(graph: Graph, edge: int) -> bool:
    node = graph.structure.nodes[graph.structure.edges[edge].source]
    after = graph.structure.incoming[node.id][0]
    user = graph.structure.nodes[graph.structure.edges[after].source]
    return node.op.startswith("Pow") or user.label == "second"


@pytest.mark.parametrize("factor", [1e-10, 1.0, 1e8])
def test_a_term_that_outweighs_the_other(factor: float) -> None:
    (finding,) = judge(run_of(scaled(two_terms(1.0, 1e-3), factor)), "GS604")
    assert finding.severity == "info"
    assert finding.message == (
        "the gradient of `first` (train.py:10) is 1000 times that of `second` (train.py:11) where "
        "both terms of the loss meet"
    )
    assert finding.where.variable == "second"
    assert finding.evidence["ratio"] == pytest.approx(1000)


@pytest.mark.parametrize(("small", "expected"), [(0.02, 0), (0.005, 1), (0.0, 0)])
def test_both_sides_of_the_bar(small: float, expected: int) -> None:
    assert len(judge(run_of(two_terms(1.0, small)), "GS604")) == expected


@pytest.mark.parametrize("norms", [(1.0, 1e-3), (1e-3, 1.0)])
def test_a_term_with_a_factor_of_its_own_is_meant(norms: tuple[float, float]) -> None:
    assert judge(run_of(two_terms(*norms, factor=True)), "GS604") == []


@pytest.mark.parametrize(("op", "expected"), [("ReverseBackward", 0), ("TanhBackward0", 1)])
def test_a_backward_of_its_own_is_a_factor_too(op: str, expected: int) -> None:
    """Gradient reversal lets through what its author wants: a thousandth, say."""
    graph = two_terms(1.0, 1e-3)
    nodes = tuple(replace(n, op=op) if n.label == "second" else n for n in graph.structure.nodes)
    changed = replace(graph, structure=replace(graph.structure, nodes=nodes))
    assert len(judge(run_of(changed), "GS604")) == expected


def test_weight_decay_by_hand_is_meant() -> None:
    assert judge(run_of(two_terms(1.0, 1e-5, penalty=True)), "GS604") == []


@pytest.mark.parametrize(
    ("ratios", "expected"),
    [([1e3] * 2, 0), ([1e3] * 3, 1), ([1, 1, 1e3, 1e3], 1), ([1e3, 1e3, 1], 0)],
)
def test_it_takes_half_of_three_backwards_and_the_last(
    ratios: Sequence[float], expected: int
) -> None:
    trace = trace_with(*[two_terms(1.0, 1 / ratio) for ratio in ratios])
    assert len(judge(trace, "GS604")) == expected
