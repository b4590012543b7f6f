from __future__ import annotations

import networkx as nx

from gradscope.analysis.export import to_networkx
from tests.builders import mlp_graph


def test_every_node_and_edge_is_there_with_its_numbers() -> None:
    graph = mlp_graph()
    exported = to_networkx(graph)
    structure = graph.structure
    assert list(exported) == [node.id for node in structure.nodes]
    assert [(a, b, k) for a, b, k in exported.edges(keys=True)] == sorted(
        (edge.source, edge.target, index) for index, edge in enumerate(structure.edges)
    )
    for node in structure.nodes:
        attributes = exported.nodes[node.id]
        assert attributes["label"] == node.label
        assert attributes["gradient_rms"] == graph.gradient_rms(node.id)
    assert nx.is_directed_acyclic_graph(exported)


def test_edges_lead_from_the_loss_to_the_leaves() -> None:
    graph = mlp_graph()
    exported = to_networkx(graph)
    roots = [node for node, degree in exported.in_degree() if degree == 0]
    leaves = {node for node, degree in exported.out_degree() if degree == 0}
    assert tuple(roots) == graph.structure.roots
    kinds = {graph.structure.nodes[leaf].kind for leaf in leaves}
    assert kinds <= {"parameter", "input"}
