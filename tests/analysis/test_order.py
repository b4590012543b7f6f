from __future__ import annotations

from dataclasses import replace

import pytest

from gradscope.analysis.order import absorbed_plumbing, forward_order, is_plumbing
from gradscope.model.graph import Structure
from tests.builders import GraphBuilder, gpt2_like_graph, mlp_graph


@pytest.mark.parametrize("op", ["ViewBackward0", "TBackward0", "UnsafeViewBackward0", "TBackward1"])
def test_plumbing(op: str) -> None:
    assert is_plumbing(op)


@pytest.mark.parametrize("op", ["MulBackward0", "AccumulateGrad", "TanhBackward0", "View2Conv"])
def test_work(op: str) -> None:
    assert not is_plumbing(op)


def test_forward_order_is_the_order_of_creation() -> None:
    structure = gpt2_like_graph(2).structure

    order = forward_order(structure)

    assert [structure.nodes[op].order for op in order] == list(range(len(order)))


@pytest.mark.parametrize("order", ["none", "reversed", "equal"])
def test_forward_order_where_creation_is_unknown_or_wrong(order: str) -> None:
    known = gpt2_like_graph(2).structure
    ranks = {"none": (0, -1), "reversed": (-1, 0), "equal": (0, 7)}
    slope, start = ranks[order]
    nodes = tuple(replace(n, order=slope * n.order + start) for n in known.nodes)
    structure = Structure(nodes, known.edges, known.roots)

    place = {op: i for i, op in enumerate(forward_order(structure))}

    assert len(place) == sum(n.kind in ("op", "loss") for n in nodes)
    inner = [e for e in known.edges if e.source in place and e.target in place]
    assert all(place[e.target] < place[e.source] for e in inner)


def test_plumbing_stands_for_its_producer_through_more_plumbing() -> None:
    b = GraphBuilder()
    w = b.leaf("w", (2, 3))
    t = b.op("T", w)
    view = b.op("View", b.op("Mm", t))
    flat = b.op("Transpose", view)
    b.op("Sum", flat)
    structure = b.graph().structure

    stands_for = absorbed_plumbing(structure, forward_order(structure), frozenset())

    mm = b.ids[2]
    assert stands_for == {b.ids[t]: b.ids[w], b.ids[view]: mm, b.ids[flat]: mm}


def test_kept_plumbing_and_roots_stand_for_themselves() -> None:
    structure = mlp_graph(2).structure
    thin = [n.id for n in structure.nodes if is_plumbing(n.op)]
    keep = frozenset(thin[:1])

    assert set(absorbed_plumbing(structure, forward_order(structure), keep)) == {thin[1]}

    b = GraphBuilder()
    b.op("View", b.leaf("x"))
    alone = b.graph().structure
    assert absorbed_plumbing(alone, forward_order(alone), frozenset()) == {}
