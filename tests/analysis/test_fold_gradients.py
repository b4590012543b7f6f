from __future__ import annotations

import math

import pytest

from gradscope.analysis.fold import fold
from gradscope.analysis.folded import FoldedGraph, FoldedNode
from gradscope.model.graph import Graph
from tests.builders import UNMEASURED, Gradient, GraphBuilder, chain_graph, stats


def box(folded: FoldedGraph, title: str) -> FoldedNode:
    return next(node for node in folded.nodes if node.title == title)


def net(inside: list[Gradient], outside: Gradient = 0.5) -> FoldedNode:
    """A module of ops one after the other, forward order, between an op and the loss."""
    b = GraphBuilder()
    x = b.op("Exp", b.leaf("x", (4,)), shape=(4,), gradient=outside)
    with b.module("net", "Net"):
        for gradient in inside:
            x = b.op("Mul", x, shape=(4,), gradient=gradient)
    b.op("Sum", x, shape=(), gradient=1.0)
    return box(fold(b.graph(), depth=0), "Net")


def test_what_enters_leaves_and_lies_between() -> None:
    gradient = net([2.0, 3.0, 0.25, 5.0]).gradient

    assert gradient.entering == pytest.approx(5.0)
    assert gradient.leaving == pytest.approx(0.5)
    assert (gradient.smallest, gradient.largest) == pytest.approx((0.25, 5.0))
    assert gradient.measured == 4


def test_what_is_not_finite_zero_or_absent_is_listed_from_the_loss_on() -> None:
    node = net([None, math.nan, 0.0, math.inf, UNMEASURED])
    gradient = node.gradient

    forward = node.members
    assert gradient.nonfinite == (forward[3], forward[1])
    assert gradient.zero == (forward[2],)
    assert gradient.absent == (forward[0],)
    assert gradient.measured == 3
    assert (gradient.smallest, gradient.largest) == (None, None)
    assert gradient.entering is None


def test_several_tensors_count_by_their_elements() -> None:
    b = GraphBuilder()
    x = b.leaf("x", (1,))
    with b.module("net", "Net"):
        small = b.op("Mul", x, shape=(1,), gradient=3.0)
        large = b.op("Expand", x, shape=(9,), gradient=1.0)
    b.op("Cat", small, large, shape=(10,))

    gradient = box(fold(b.graph(), depth=0), "Net").gradient

    assert gradient.entering == pytest.approx(math.sqrt((9 + 9) / 10))


def test_an_edge_prefers_what_came_along_it() -> None:
    b = GraphBuilder()
    x = b.leaf("x", (4,), gradient=5.0)
    first = b.op("Mul", x, shape=(4,))
    second = b.op("Exp", x, shape=(4,))
    b.op("Add", first, second, shape=(4,))
    graph = b.graph()
    to_x = graph.structure.incoming[b.ids[x]]
    contributions = {to_x[0]: stats(3.0, (4,)), to_x[1]: None}
    measured = Graph(graph.structure, graph.values, graph.gradients, contributions)

    summed = {e.gradient for e in fold(graph).edges if e.target == f"n{b.ids[x]}"}
    told = [e for e in fold(measured).edges if e.target == f"n{b.ids[x]}"]

    assert summed == {5.0}
    assert [(e.gradient, e.is_absent) for e in told] == [(3.0, False), (None, True)]


def test_several_edges_between_two_boxes_are_one() -> None:
    b = GraphBuilder()
    x = b.leaf("x", (4,), gradient=2.0)
    b.op("Mul", x, x, shape=(4,))

    (edge,) = fold(b.graph()).edges

    assert edge.count == 2
    assert edge.gradient == pytest.approx(2.0)


@pytest.mark.parametrize("size", [1e-200, 1e200])
def test_sizes_beyond_a_float32_survive(size: float) -> None:
    graph = chain_graph(400, lambda i: size)

    loop = next(node for node in fold(graph).nodes if node.kind == "loop")

    assert loop.gradient.entering == pytest.approx(size)
    assert loop.gradient.turns == pytest.approx([size] * 399)


def test_a_root_inside_a_loop_enters_its_turn() -> None:
    b = GraphBuilder()
    x = b.leaf("x", (4,))
    roots = []
    for turn in range(1, 101):
        x = b.op("Mul", x, shape=(4,), iteration=turn)
        roots.append(b.op("Sin", x, shape=(4,), gradient=float(turn), iteration=turn))
        x = b.op("Exp", x, shape=(4,), iteration=turn)

    loop = next(node for node in fold(b.graph(x, *roots)).nodes if node.kind == "loop")

    # The first roots, of turns 100 and 1 to 3, have boxes of their own.
    assert loop.gradient.turns == pytest.approx([float(turn) for turn in range(99, 3, -1)])
