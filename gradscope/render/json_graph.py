"""Graphs as JSON: nodes and edges with what was measured on them."""

from __future__ import annotations

from collections.abc import Mapping
from operator import itemgetter

from gradscope.model.finding import Report
from gradscope.model.graph import Edge, Graph, Node
from gradscope.model.stats import TensorStats
from gradscope.render.json_values import Document, maybe, source_document, stats_document, text
from gradscope.render.options import RenderOptions
from gradscope.render.summary import chosen_graph
from gradscope.render.traits import trait_document

EMPTY: Document = {
    "step": None,
    "backward_ran": False,
    "roots": [],
    "truncated": 0,
    "nodes": [],
    "edges": [],
}


def chosen_document(report: Report, options: RenderOptions) -> tuple[Document, int]:
    """The graph that the report shows, and how many of its nodes were left out."""
    chosen = chosen_graph(report, options.step)
    if chosen is None:
        return EMPTY, 0
    return graph_document(chosen.graph, chosen.step, options.max_nodes)


def kept_documents(report: Report, options: RenderOptions) -> tuple[list[Document], int]:
    """Every graph that was kept, forward-only ones last, and how many nodes were left out.

    All graphs share ``options.max_nodes``; the later ones are cut first.
    """
    trace = report.trace
    graphs: list[tuple[int | None, Graph]] = [(step.index, graph) for step, graph in trace.graphs]
    graphs += [(None, graph) for graph in trace.forward_graphs]
    documents, left, room = [], 0, options.max_nodes
    for step, graph in graphs:
        document, cut = graph_document(graph, step, room)
        documents.append(document)
        left += cut
        room -= len(document["nodes"])
    return documents, left


def graph_document(graph: Graph, step: int | None, max_nodes: int) -> tuple[Document, int]:
    """One graph, cut to the ``max_nodes`` nodes discovered first from the loss."""
    structure = graph.structure
    values, gradients = _by_node(graph.values), _by_node(graph.gradients)
    size = min(len(structure.nodes), max_nodes)
    document = {
        "step": step,
        "backward_ran": graph.backward_ran,
        "roots": [root for root in structure.roots if root < size],
        "truncated": structure.truncated,
        "nodes": [
            {
                **_node(node),
                **trait_document(node, graph.traits.get(node.id)),
                "values": values.get(node.id, []),
                "gradients": gradients.get(node.id, []),
            }
            for node in structure.nodes[:size]
        ],
        "edges": [
            _edge(edge, graph.contributions, index)
            for index, edge in enumerate(structure.edges)
            if edge.source < size and edge.target < size
        ],
    }
    return document, len(structure.nodes) - size


def _by_node(measured: Mapping[tuple[int, int], TensorStats | None]) -> dict[int, list[Document]]:
    found: dict[int, list[Document]] = {}
    for (node, output_nr), stats in measured.items():
        entry = {"output_nr": output_nr, "stats": stats_document(stats)}
        found.setdefault(node, []).append(entry)
    for entries in found.values():
        entries.sort(key=itemgetter("output_nr"))
    return found


def _node(node: Node) -> Document:
    return {
        "id": node.id,
        "kind": node.kind,
        "op": text(node.op),
        "call": maybe(node.call),
        "label": maybe(node.label),
        "module": maybe(node.module),
        "module_type": maybe(node.module_type),
        "module_call": node.module_call,
        "module_types": [text(name) for name in node.module_types],
        "source": source_document(node.source),
        "iteration": node.iteration,
        "order": node.order,
        "inputs": node.inputs,
        "parameter": node.parameter,
        "shape": None if node.shape is None else list(node.shape),
    }


def _edge(edge: Edge, contributions: Mapping[int, TensorStats | None], index: int) -> Document:
    document: Document = {
        "source": edge.source,
        "slot": edge.slot,
        "target": edge.target,
        "output_nr": edge.output_nr,
    }
    # Null says that the edge carried nothing, a missing key that nobody looked.
    if index in contributions:
        document["contribution"] = stats_document(contributions[index])
    return document
