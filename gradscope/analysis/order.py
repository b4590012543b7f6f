"""Forward order of a graph, and the ops that only rearrange what another op computed."""

from __future__ import annotations

import heapq
from functools import lru_cache

from gradscope.model.graph import Structure

_PLUMBING = (
    *("View", "UnsafeView", "ReshapeAlias", "Reshape", "Flatten", "Unflatten"),
    *("T", "Transpose", "Permute", "Movedim", "Swapaxes"),
    *("Squeeze", "Unsqueeze", "Expand", "Clone", "Alias", "ToCopy", "Contiguous"),
)


@lru_cache(maxsize=4096)
def is_plumbing(op: str) -> bool:
    """Whether an op only changes how its one input is laid out: ``ViewBackward0`` and the like."""
    return op.rstrip("0123456789").removesuffix("Backward") in _PLUMBING


def forward_order(structure: Structure) -> list[int]:
    """The ops in an order in which each comes after everything it was computed from.

    It is the order they were created in, wherever that is known and consistent.
    """
    nodes = structure.nodes
    ops = [node.id for node in nodes if node.kind in ("op", "loss")]
    rank = {op: nodes[op].order for op in ops}
    consistent = len(set(rank.values())) == len(rank) and all(
        rank[edge.target] < rank[edge.source]
        for edge in structure.edges
        if edge.target in rank and edge.source in rank
    )
    if consistent:
        return sorted(ops, key=rank.__getitem__)
    return _topological(structure, rank)


def _topological(structure: Structure, rank: dict[int, int]) -> list[int]:
    """Kahn's algorithm, with the creation rank where there is a choice."""
    edges = structure.edges
    waiting = {
        op: sum(edges[edge].target in rank for edge in structure.outgoing[op]) for op in rank
    }
    ready = [(rank[op], op) for op, count in waiting.items() if not count]
    heapq.heapify(ready)
    order = []
    while ready:
        _, op = heapq.heappop(ready)
        order.append(op)
        for edge in structure.incoming[op]:
            user = edges[edge].source
            if user in waiting:
                waiting[user] -= 1
                if not waiting[user]:
                    heapq.heappush(ready, (rank[user], user))
    return order


def absorbed_plumbing(
    structure: Structure, order: list[int], keep: frozenset[int]
) -> dict[int, int]:
    """Plumbing op to the node whose result it rearranges, through further plumbing.

    NOTE [Absorbing plumbing] A node with a single way on can always be joined with the node at
    its end: a cycle would need a second way. The joint node stands where the producer stood in
    the forward order, so that order stays a valid one.
    """
    stands_for: dict[int, int] = {}
    roots = frozenset(structure.roots)
    for op in order:
        outgoing = structure.outgoing[op]
        if len(outgoing) == 1 and is_plumbing(structure.nodes[op].op):
            producer = structure.edges[outgoing[0]].target
            if op not in keep and op not in roots:
                stands_for[op] = stands_for.get(producer, producer)
    return stands_for
