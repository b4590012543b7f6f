"""How far from the loss a parameter is: the order in which tables list them."""

from __future__ import annotations

from collections.abc import Iterator

from gradscope.model.graph import Structure
from gradscope.model.trace import Trace

_STRUCTURES_SEARCHED = 8


def parameter_depths(trace: Trace) -> dict[int, int]:
    """Parameter index to its longest distance from the loss, by the last graph that holds it."""
    depths: dict[int, int] = {}
    for structure in _last_structures(trace):
        found = longest_distances(structure)
        fresh: dict[int, int] = {}
        for node in structure.nodes:
            if node.parameter is not None and node.parameter not in depths:
                fresh[node.parameter] = max(fresh.get(node.parameter, 0), found[node.id])
        depths.update(fresh)
    return depths


def longest_distances(structure: Structure) -> list[int]:
    """Per node, the number of edges on the longest way from a root (Kahn's order)."""
    distances = [0] * len(structure.nodes)
    waiting = [len(edges) for edges in structure.incoming]
    ready = [node for node, count in enumerate(waiting) if count == 0]
    while ready:
        node = ready.pop()
        for index in structure.outgoing[node]:
            target = structure.edges[index].target
            distances[target] = max(distances[target], distances[node] + 1)
            waiting[target] -= 1
            if waiting[target] == 0:
                ready.append(target)
    return distances


def _last_structures(trace: Trace) -> Iterator[Structure]:
    graphs = [graph for _, graph in trace.graphs] or list(trace.forward_graphs)
    seen: list[Structure] = []
    for graph in reversed(graphs):
        if any(graph.structure is known for known in seen):
            continue
        seen.append(graph.structure)
        yield graph.structure
        if len(seen) == _STRUCTURES_SEARCHED:
            return
