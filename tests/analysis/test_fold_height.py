"""Graphs of few nodes that would still be too tall to see at once."""

from __future__ import annotations

import pytest

from gradscope.analysis.fold import fold
from gradscope.analysis.folded import FoldedGraph
from gradscope.model.graph import Graph
from tests.graph_builder import GraphBuilder, line
from tests.model_graphs import resnet_like_graph


def height(folded: FoldedGraph) -> int:
    """Boxes on the longest way from the loss; nodes are in forward order, leaves last."""
    ranks = {box.id: 0 for box in folded.nodes}
    into: dict[str, list[str]] = {box.id: [] for box in folded.nodes}
    for edge in folded.edges:
        into[edge.target].append(edge.source)
    ops = [box.id for box in folded.nodes if box.kind not in ("parameter", "input", "leaves")]
    for box in reversed(ops):
        ranks[box] = 1 + max((ranks[user] for user in into[box]), default=0)
    return max(ranks.values())


def turns(count: int, *, shared: bool) -> Graph:
    """``h = tanh(h @ W)``, the same ``W`` in every turn or one for each."""
    b = GraphBuilder(line(3, "h = torch.tanh(h @ W)"))
    weight = b.leaf("W", (4, 4))
    h = b.leaf("x", (2, 4))
    for _ in range(count):
        own = weight if shared else b.leaf("V", (4, 4))
        h = b.op("Tanh", b.op("Mm", h, own, shape=(2, 4)), shape=(2, 4))
    b.op("Mean", h, shape=())
    return b.graph()


def test_a_residual_network_below_the_number_of_boxes_is_folded_into_its_blocks() -> None:
    graph = resnet_like_graph()
    assert len(graph.structure.nodes) <= 150
    folded = fold(graph)
    assert height(folded) <= 40
    assert {"BasicBlock"} <= {box.title for box in folded.nodes if box.kind == "module"} | {
        cluster.type for cluster in folded.clusters
    }


def test_a_flagged_node_of_it_keeps_a_box_of_its_own() -> None:
    graph = resnet_like_graph()
    flagged = next(n.id for n in graph.structure.nodes if n.op.startswith("Relu") and n.order > 30)
    folded = fold(graph, keep=frozenset({flagged}))
    assert folded.box_of[flagged] == f"n{flagged}"
    assert height(folded) <= 40


@pytest.mark.parametrize(
    ("count", "shared", "is_folded"),
    [(10, True, False), (14, True, True), (14, False, False), (25, False, True)],
)
def test_a_leaf_used_in_every_turn_folds_sooner(count: int, shared: bool, is_folded: bool) -> None:
    folded = fold(turns(count, shared=shared))
    assert folded.is_folded is is_folded
    assert any(box.kind == "loop" and box.count >= 12 for box in folded.nodes) is is_folded


def test_who_asks_for_more_boxes_gets_a_taller_picture() -> None:
    graph = turns(25, shared=False)
    assert not fold(graph, max_nodes=300).is_folded
