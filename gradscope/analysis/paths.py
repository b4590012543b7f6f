"""Ways through a graph: what an op does to a gradient's size, and which way most of it takes."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Literal

from gradscope.model.graph import Graph, Structure
from gradscope.model.stats import TensorStats

Role = Literal["work", "move", "spread", "leaf"]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_MOVES = _words(
    "View UnsafeView ReshapeAlias Reshape T Transpose Permute Movedim Squeeze Unsqueeze Clone "
    "Alias ToCopy Copy Slice Select AsStrided Narrow Split SplitWithSizes Unbind Cat Stack Index "
    "IndexSelect Gather Flip Roll ConstantPadNd Diagonal Unfold ViewAsReal ViewAsComplex Detach "
    "PixelShuffle PixelUnshuffle Flatten Unflatten CopySlices Swapaxes Contiguous Identity"
)
_SPREADS = _words(
    "Sum Mean Nansum Expand Repeat RepeatInterleave AvgPool1D AvgPool2D AvgPool3D "
    "AdaptiveAvgPool1D AdaptiveAvgPool2D AdaptiveAvgPool3D MkldnnAdaptiveAvgPool2D"
)
_REGION = 64
"""How many nodes beside the path are looked at per hop: a gated cell has about 20."""


@lru_cache(maxsize=4096)
def op_base(op: str) -> str:
    """The op without autograd's decoration: ``SumBackward1`` and ``struct Sum`` give ``Sum``."""
    name = op.rsplit("::", 1)[-1]
    return re.sub(r"Backwards?\d*$", "", name) or name


@lru_cache(maxsize=4096)
def role(op: str) -> Role:
    """What an op does to the size of a gradient.

    ``move`` only rearranges elements: the norm stays. ``spread`` adds or averages over elements
    that are alike (a mean over N, a broadcast): the norm changes with the size of the tensor and
    says nothing about the network. ``leaf`` is ``AccumulateGrad``; all others ``work``.
    """
    base = op_base(op)
    if base == "AccumulateGrad":
        return "leaf"
    if base in _SPREADS or base.startswith("Upsample"):
        return "spread"
    return "move" if base in _MOVES else "work"


def backward_order(structure: Structure) -> list[int]:
    """Every node that the roots reach, each after all nodes that send it a gradient."""
    waiting = [len(edges) for edges in structure.incoming]
    ready = [root for root in dict.fromkeys(structure.roots) if not waiting[root]]
    order: list[int] = []
    while ready:
        node = ready.pop()
        order.append(node)
        for edge in structure.outgoing[node]:
            target = structure.edges[edge].target
            waiting[target] -= 1
            if not waiting[target]:
                ready.append(target)
    return order


def deepest_node(structure: Structure) -> int | None:
    """The op farthest from the loss, counted in working ops: the input end of the network.

    Leaves do not count: the gradient of a weight is a sum over the batch and cannot be compared
    with the gradient of an activation.
    """
    depth = [0] * len(structure.nodes)
    best: int | None = None
    for index in backward_order(structure):
        works = role(structure.nodes[index].op) == "work"
        depth[index] += works
        for edge in structure.outgoing[index]:
            target = structure.edges[edge].target
            depth[target] = max(depth[target], depth[index])
        if works and (best is None or _farther(structure, depth, index, best)):
            best = index
    return best


def _farther(structure: Structure, depth: list[int], index: int, best: int) -> bool:
    if depth[index] != depth[best]:
        return depth[index] > depth[best]
    return structure.nodes[index].order < structure.nodes[best].order


def received_norm(graph: Graph, node: int) -> float | None:
    """L2 norm over all gradients the node received; None where nothing was measured."""
    if graph.structure.nodes[node].inputs == 1:
        stats = graph.gradients.get((node, 0))
        return None if stats is None or stats.l2_norm is None else abs(stats.l2_norm)
    norms = [
        stats.l2_norm
        for nr in range(graph.structure.nodes[node].inputs)
        if (stats := graph.gradients.get((node, nr))) is not None and stats.l2_norm is not None
    ]
    return math.hypot(*norms) if norms else None


def sent_along(graph: Graph, edge: int) -> TensorStats | None:
    """The gradient that came along one edge; None where none did or that is not known."""
    if edge in graph.contributions:
        return graph.contributions[edge]
    here = graph.structure.edges[edge]
    return None if _meets(graph, edge) else graph.gradient(here.target, here.output_nr)


def sent_nothing(graph: Graph, edge: int) -> bool:
    """Whether it is known that no gradient came along an edge."""
    if edge in graph.contributions:
        return graph.contributions[edge] is None
    here = graph.structure.edges[edge]
    slot = (here.target, here.output_nr)
    return slot in graph.gradients and graph.gradients[slot] is None


def edge_norm(graph: Graph, edge: int) -> float | None:
    """L2 norm of the gradient that came along one edge; None where it cannot be known."""
    stats = sent_along(graph, edge)
    return stats.l2_norm if stats is not None else None


def _meets(graph: Graph, edge: int) -> bool:
    """Whether another edge leads to the same output."""
    edges = graph.structure.edges
    rivals = graph.structure.incoming[edges[edge].target]
    return len(rivals) > 1 and any(
        edges[other].output_nr == edges[edge].output_nr for other in rivals if other != edge
    )


def dominant_path(graph: Graph, target: int) -> list[tuple[int, int | None]]:
    """The way on which most of the gradient reached ``target``: nodes and the edges taken.

    From the target towards the root, the edge with the largest contribution is followed at every
    fan-in; where contributions were not recorded, the source with the largest gradient.

    Returns:
        ``(node, edge)`` from the root to ``target``; ``edge`` led to the node, None at the root.
    """
    structure = graph.structure
    path: list[tuple[int, int | None]] = []
    node = target
    while incoming := structure.incoming[node]:
        edge = incoming[0] if len(incoming) == 1 else _strongest(graph, incoming)
        path.append((node, edge))
        node = structure.edges[edge].source
    path.append((node, None))
    path.reverse()
    return path


def _strongest(graph: Graph, edges: Iterable[int]) -> int:
    def strength(edge: int) -> tuple[float, float, int]:
        direct = edge_norm(graph, edge)
        source = received_norm(graph, graph.structure.edges[edge].source)
        return (_weight(direct), _weight(source), -edge)

    return max(edges, key=strength)


def _weight(norm: float | None) -> float:
    """A norm as a sort key: unknown below everything, NaN above, so that it is followed."""
    if norm is None:
        return -1.0
    return float("inf") if norm != norm else norm


def direct_leaves(structure: Structure, node: int) -> frozenset[int]:
    """Leaves that enter an op at once or behind mere moves, such as a transposed weight."""
    found = []
    for edge in structure.outgoing[node]:
        child = structure.edges[edge].target
        while role(structure.nodes[child].op) == "move" and len(structure.outgoing[child]) == 1:
            child = structure.edges[structure.outgoing[child][0]].target
        if structure.nodes[child].kind in ("parameter", "input"):
            found.append(child)
    return frozenset(found)


def side_leaves(structure: Structure, node: int, path: frozenset[int]) -> frozenset[int]:
    """Leaves that enter the path at ``node`` from the side, through gates and branches too."""
    found: set[int] = set()
    seen: set[int] = {node}
    stack = [node]
    while stack and len(seen) < _REGION:
        for edge in structure.outgoing[stack.pop()]:
            child = structure.edges[edge].target
            if child in seen or child in path:
                continue
            seen.add(child)
            if structure.nodes[child].kind in ("parameter", "input"):
                found.add(child)
            else:
                stack.append(child)
    return frozenset(found)
