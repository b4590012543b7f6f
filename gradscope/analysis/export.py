"""A graph as networkx knows it, for the reader's own analysis."""

from __future__ import annotations

import networkx as nx

from gradscope.analysis.paths import sent_along
from gradscope.model.graph import Graph


def to_networkx(graph: Graph) -> nx.MultiDiGraph:
    """The graph with one networkx node per autograd node, edges the way the gradient flows.

    Args:
        graph: One backward's graph.

    Returns:
        Node keys are node ids. Nodes carry ``kind``, ``op``, ``label``, ``module``, ``location``
        (``file.py:12``), ``value_rms`` and ``gradient_rms``; edges ``output_nr`` and
        ``gradient_rms`` (their own contribution where it was recorded). What was not measured
        is None.
    """
    result = nx.MultiDiGraph()
    for node in graph.structure.nodes:
        value = graph.value(node.id)
        result.add_node(
            node.id,
            kind=node.kind,
            op=node.op,
            label=node.label,
            module=node.module,
            location=node.source.location if node.source is not None else None,
            value_rms=value.rms if value is not None else None,
            gradient_rms=graph.gradient_rms(node.id),
        )
    for index, edge in enumerate(graph.structure.edges):
        along = sent_along(graph, index)
        result.add_edge(
            edge.source,
            edge.target,
            key=index,
            output_nr=edge.output_nr,
            gradient_rms=along.rms if along is not None else None,
        )
    return result
