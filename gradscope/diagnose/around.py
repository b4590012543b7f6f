"""What lies next to a node of a graph, seen past ops that only move elements."""

from __future__ import annotations

from collections.abc import Iterable

from gradscope.analysis.paths import role
from gradscope.model.graph import Graph, Node, Structure
from gradscope.model.trace import Parameter


def behind_moves(structure: Structure, node: int) -> int:
    """The node itself, or the first one towards the leaves that does more than move elements."""
    while role(structure.nodes[node].op) == "move" and len(structure.outgoing[node]) == 1:
        node = structure.edges[structure.outgoing[node][0]].target
    return node


def inputs_of(structure: Structure, node: int) -> list[int]:
    """The producers of an op's inputs, past mere moves."""
    return [
        behind_moves(structure, structure.edges[edge].target) for edge in structure.outgoing[node]
    ]


def users_of(structure: Structure, node: int) -> list[int]:
    """The ops that use a result, past mere moves, towards the loss."""
    found: list[int] = []
    seen = {node}
    stack = [node]
    while stack:
        for edge in structure.incoming[stack.pop()]:
            source = structure.edges[edge].source
            if source in seen:
                continue
            seen.add(source)
            moves = role(structure.nodes[source].op) == "move"
            if moves and len(structure.outgoing[source]) == 1:
                stack.append(source)
            else:
                found.append(source)
    return found


def towards_loss(structure: Structure, starts: Iterable[int]) -> set[int]:
    """Every node between the given ones and the roots, without the given ones."""
    return _reachable(structure, starts, structure.incoming, "source")


def towards_leaves(structure: Structure, starts: Iterable[int]) -> set[int]:
    """Every node that gets its gradient through one of the given ones, without them."""
    return _reachable(structure, starts, structure.outgoing, "target")


def _reachable(
    structure: Structure, starts: Iterable[int], edges: tuple[tuple[int, ...], ...], end: str
) -> set[int]:
    stack = list(starts)
    found: set[int] = set()
    while stack:
        for edge in edges[stack.pop()]:
            other: int = getattr(structure.edges[edge], end)
            if other not in found:
                found.add(other)
                stack.append(other)
    return found


def leaves_of(graph: Graph) -> dict[int, Node]:
    """Index in ``Trace.parameters`` to the leaf's node in this graph."""
    return {
        node.parameter: node
        for node in graph.structure.nodes
        if node.parameter is not None and node.kind in ("parameter", "input")
    }


def is_constant(graph: Graph, node: int, value: float) -> bool:
    """Whether the node's forward result is known and equal to ``value`` in every element."""
    stats = graph.value(node)
    return stats is not None and stats.count > 0 and stats.min == stats.max == value


def ops_using(graph: Graph, parameters: Iterable[Parameter]) -> set[int]:
    """The ops that use any of these parameters, past mere moves."""
    leaves = leaves_of(graph)
    return {
        user
        for parameter in parameters
        if parameter.index in leaves
        for user in users_of(graph.structure, leaves[parameter.index].id)
    }
