"""The autograd graph behind some results, as plain lists."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

DEEP = 10_000  # nodes from which freeing a touched graph may need more stack
NOWHERE = -1

# Their backward only moves elements around: what they receive is what they send.
PLUMBING = frozenset(
    f"{name}Backward{n}"
    for name in ("T", "View", "UnsafeView", "Transpose", "Permute", "Unsqueeze", "ReshapeAlias")
    for n in (0, 1)
) | {"AliasBackward0", "SqueezeBackward0", "SqueezeBackward1", "SqueezeBackward2"}


class Walked(NamedTuple):
    """A graph while its nodes are held; its nodes must not outlive the backward.

    A tuple for each edge would give the garbage collector much to do.

    Attributes:
        nodes: In the order of their discovery.
        ids: Their positions there.
        fan_outs: How many slots each node has for edges.
        targets: Where the edges lead, one slot after the other, or ``NOWHERE``.
        output_nrs: And to which output there, by position in ``targets``, where not to the first.
        roots: ``(node, output_nr)`` of what backward starts from.
        truncated: Edges to nodes beyond the limit; they lead ``NOWHERE``.
    """

    nodes: list[Any]
    ids: dict[Any, int]
    fan_outs: list[int]
    targets: list[int]
    output_nrs: dict[int, int]
    roots: tuple[tuple[int, int], ...]
    truncated: int = 0


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
    ids: dict[Any, int] = {None: NOWHERE}
    nodes: list[Any] = []
    for node, _ in roots:
        if node not in ids:
            ids[node] = len(nodes)
            nodes.append(node)
    found = Walked(nodes, ids, [], [], {}, tuple([(ids[node], nr) for node, nr in roots]))
    try:
        truncated = _follow(found, limit)
    finally:
        del ids[None]
        if len(nodes) > DEEP:
            on_deep()
    return found._replace(truncated=truncated) if truncated else found


def _follow(walked: Walked, limit: int) -> int:
    """Walks from the nodes there are to all others; returns how many edges were not followed."""
    nodes, ids, fan_outs, targets, output_nrs, _, truncated = walked
    for node in nodes:
        functions = node.next_functions
        fan_outs.append(len(functions))
        for function, output_nr in functions:
            target = ids.get(function)
            if target is None:
                target = len(nodes)
                if target < limit:
                    ids[function] = target
                    nodes.append(function)
                else:
                    target = NOWHERE
                    truncated += 1
            if output_nr:
                output_nrs[len(targets)] = output_nr
            targets.append(target)
    return truncated


def release(walked: Walked) -> None:
    """Lets go of the nodes root first, so that no long chain is freed in one recursion."""
    walked.nodes.clear()
    walked.ids.clear()  # in the order in which they came
