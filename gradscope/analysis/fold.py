"""Folding: from a graph of any size to one that fits a page, before any layout.

In this order, each step only as far as needed: plumbing joins what it rearranges, modules close
from the inside out, equal neighbours and unrolled loops become one box, and what still does not
fit is cut into stretches. The result has no cycles (NOTE [Intervals] and [Absorbing plumbing]).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from gradscope.analysis.blocks import Item, group_lines, module_tree
from gradscope.analysis.boxes import Plan, build
from gradscope.analysis.cut import Cut, merge_neighbours
from gradscope.analysis.folded import FoldedGraph
from gradscope.analysis.leaves import FEW, Leaves, Placement, find_leaves, leaves_at, place
from gradscope.analysis.order import absorbed_plumbing, forward_order, is_plumbing
from gradscope.analysis.repeats import find_repeats
from gradscope.model.graph import Graph, Structure

_KEPT_SHARE = 12
"""Up to one ``_KEPT_SHARE``-th of the nodes, all that are to be kept have a box of their own."""
_TALLEST, _TALL = 40, 24
"""Ranks of a picture: beyond the first it is folded even when its boxes are few; beyond the second
when a leaf is used again and again, as in an unrolled loop, since arrows to it pull every turn
further aside."""
_MANY_USES = 6
_USUAL = 150  # boxes
_ENDS = 3
_ROOTS = 4


def fold(
    graph: Graph,
    *,
    max_nodes: int = _USUAL,
    depth: int | None = None,
    keep: frozenset[int] = frozenset(),
) -> FoldedGraph:
    """The graph in at most ``max_nodes`` boxes.

    A graph that fits is not folded at all, unless it would be very tall. Time is about linear in
    the number of nodes.

    Args:
        graph: The graph.
        max_nodes: How many boxes there may be.
        depth: Show modules open down to this level, 0 being the outermost, and repeats one by
            one as long as they fit.
        keep: Nodes that stay visible. When there are too many, the first, the last and the one
            with the smallest gradient do; ``FoldedNode.kept`` tells for every box which of them
            it holds.
    """
    max_nodes = max(1, max_nodes)
    keep = frozenset(node for node in keep if 0 <= node < len(graph.structure.nodes))
    order = forward_order(graph.structure)
    fits = len(graph.structure.nodes) <= max_nodes
    if fits and depth is None and _is_low(graph.structure, order, max_nodes):
        plan = _unfolded(graph, order)
    else:
        plan = _folded(graph, order, max_nodes, depth, keep)
    return build(graph, plan, keep)


def _is_low(structure: Structure, order: Sequence[int], max_nodes: int) -> bool:
    """Whether a picture of every node would be low enough to be seen at once."""
    ranks: dict[int, int] = {}
    for op in order:
        below = (structure.edges[edge].target for edge in structure.outgoing[op])
        rank = max((ranks.get(target, 0) for target in below), default=0)
        ranks[op] = rank + (not is_plumbing(structure.nodes[op].op))
    height = max(ranks.values(), default=0)
    leaves = (node.id for node in structure.nodes if node.kind in ("parameter", "input"))
    shared = any(len(structure.incoming[leaf]) > _MANY_USES for leaf in leaves)
    # Who asks for more boxes than usual gets a taller picture.
    return height <= (_TALL if shared else _TALLEST) * max(1.0, max_nodes / _USUAL)


def _unfolded(graph: Graph, order: list[int]) -> Plan:
    root = module_tree(graph.structure, order)
    leaves = find_leaves(graph.structure, {}, ())
    alone = Leaves(leaves.uses, frozenset(leaves.uses))
    return Plan(place(list(order), alone, FEW), root, order, {}, leaves)


def _folded(
    graph: Graph, order: list[int], max_nodes: int, depth: int | None, keep: frozenset[int]
) -> Plan:
    structure = graph.structure
    kept = _chosen(graph, order, keep, max_nodes)
    crowded = depth is None or len(structure.nodes) > max_nodes
    stands_for = absorbed_plumbing(structure, order, kept) if crowded else {}
    root = module_tree(structure, (op for op in order if op not in stands_for))
    leaves = find_leaves(structure, stands_for, kept)
    group_lines(root, structure)
    find_repeats(root, structure)
    cut = Cut(root, leaves_at(leaves, root), max_nodes, depth)
    kept_ops = frozenset(op for op in kept if op not in leaves.uses)
    cut.open_kept(kept_ops)
    cut.open_all_that_fits()
    placement = _fitted(cut.shown(), leaves, max_nodes, kept_ops)
    return Plan(placement, root, order, stands_for, leaves)


def _fitted(items: list[Item], leaves: Leaves, max_nodes: int, kept: frozenset[int]) -> Placement:
    """Bundles leaves, then joins neighbours, until there are at most ``max_nodes`` boxes."""
    placement = place(items, leaves, FEW)
    if placement.count > max_nodes:
        placement = place(items, leaves, 1)
    while placement.count > max_nodes:
        merged = merge_neighbours(placement.items, placement.count - max_nodes, kept)
        if len(merged) == len(placement.items):
            return place(merged, leaves, 0)
        placement = place(merged, leaves, 1)
    return placement


def _chosen(
    graph: Graph, order: Sequence[int], keep: Iterable[int], max_nodes: int
) -> frozenset[int]:
    """The roots and the nodes of ``keep`` that will be visible."""
    structure = graph.structure
    rank = {op: i for i, op in enumerate(order)}
    # From the loss to the leaves.
    wanted = sorted(keep, key=lambda node: (-rank.get(node, -1), node))
    roots = [root for root in structure.roots[:_ROOTS] if root in rank]
    if len(wanted) > max(_ENDS, max_nodes // _KEPT_SHARE):
        wanted = list(dict.fromkeys((wanted[0], _worst(graph, wanted), wanted[-1])))
    return frozenset((*roots, *wanted))


def _worst(graph: Graph, nodes: Iterable[int]) -> int:
    """The one whose gradient is not finite, else smallest, else the first."""

    def badness(node: int) -> tuple[bool, float]:
        rms = graph.gradient_rms(node)
        return (rms is None, -1.0 if rms is None or not math.isfinite(rms) else rms)

    return min(nodes, key=badness)
