"""What holds for every folded graph, and how tests look into one."""

from __future__ import annotations

import networkx as nx

from gradscope.analysis.fold import fold
from gradscope.analysis.folded import FoldedGraph, FoldedNode
from gradscope.model.graph import Graph


def check(graph: Graph, folded: FoldedGraph) -> None:
    """What holds for every folded graph."""
    ids = [box.id for box in folded.nodes]
    assert len(set(ids)) == len(ids)
    members = sorted(member for box in folded.nodes for member in box.members)
    assert members == list(range(len(graph.structure.nodes)))
    pairs = [(edge.source, edge.target) for edge in folded.edges]
    assert len(set(pairs)) == len(pairs)
    assert nx.is_directed_acyclic_graph(nx.DiGraph(pairs))
    box_of = folded.box_of
    expected = {
        (box_of[e.source], box_of[e.target])
        for e in graph.structure.edges
        if box_of[e.source] != box_of[e.target]
    }
    assert set(pairs) == expected


def folded_checked(
    graph: Graph,
    *,
    max_nodes: int = 150,
    depth: int | None = None,
    keep: frozenset[int] = frozenset(),
) -> FoldedGraph:
    folded = fold(graph, max_nodes=max_nodes, depth=depth, keep=keep)
    check(graph, folded)
    return folded


def only(folded: FoldedGraph, kind: str) -> FoldedNode:
    found = [box for box in folded.nodes if box.kind == kind]
    assert len(found) == 1
    return found[0]


def shown(folded: FoldedGraph) -> set[int]:
    """Nodes with a box of their own."""
    return {box.anchor for box in folded.nodes if not box.is_folded}
