"""The autograd graph behind some results, as plain lists."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

DEEP = 10_000  # nodes from which freeing a touched graph may need more stack

# Their backward only moves elements around: what they receive is what they send.
PLUMBING = frozenset(
    f"{name}Backward{n}"
    for name in ("T", "View", "UnsafeView", "Transpose", "Permute", "Unsqueeze", "ReshapeAlias")
    for n in (0, 1)
) | {"AliasBackward0", "SqueezeBackward0", "SqueezeBackward1", "SqueezeBackward2"}


class Walked(NamedTuple):
    """A graph while its nodes are held; ``nodes`` must not outlive the backward.

    ``flat_edges`` has source, slot, target, output_nr of one edge after the other: a tuple for
    each would give the garbage collector much to do.
    """

    nodes: list[Any]
    flat_edges: list[int]
    roots: tuple[tuple[int, int], ...]
    truncated: int


def root_edges(results: Sequence[Any]) -> list[tuple[Any, int]]:
    """The ``(node, output_nr)`` behind tensors or ``GradientEdge``s that have a graph."""
    found = []
    for result in results:
        if isinstance(result, Tensor):
            if result.grad_fn is not None:
                found.append((result.grad_fn, result.output_nr))
            elif result.requires_grad:
                found.append((torch.autograd.graph.get_gradient_edge(result).node, 0))
        elif hasattr(result, "node"):
            found.append((result.node, result.output_nr))
    return found


def walk(roots: Sequence[tuple[Any, int]], limit: int, on_deep: Callable[[], None]) -> Walked:
    """Breadth first from the roots, without recursion.

    Args:
        roots: Nodes with the output that backward starts from.
        limit: Nodes to walk at most.
        on_deep: Called once when the graph may be deep enough to be dangerous to free.

    Returns:
        The graph; ids are discovery order.
    """
    ids: dict[Any, int] = {}
    nodes: list[Any] = []
    for node, _ in roots:
        if node not in ids:
            ids[node] = len(nodes)
            nodes.append(node)
    flat_edges: list[int] = []
    truncated = 0
    for source, node in enumerate(nodes):
        if source == DEEP:
            on_deep()
        for slot, (target_node, output_nr) in enumerate(node.next_functions):
            if target_node is None:
                continue
            target = ids.get(target_node)
            if target is None:
                if len(nodes) >= limit:
                    truncated += 1
                    continue
                target = ids[target_node] = len(nodes)
                nodes.append(target_node)
            flat_edges += (source, slot, target, output_nr)
    return Walked(nodes, flat_edges, tuple((ids[n], nr) for n, nr in roots), truncated)


def release(nodes: list[Any]) -> None:
    """Lets go of the nodes root first, so that no long chain is freed in one recursion."""
    nodes.reverse()
    while nodes:
        nodes.pop()
