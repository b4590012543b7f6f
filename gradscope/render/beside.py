"""Which leaves a picture puts beside the op that uses them instead of below it.

Below, they would push the way of the gradient aside, and that way is what one wants to follow.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from gradscope.analysis.folded import FoldedGraph, FoldedNode
from gradscope.analysis.tags import LEAVES

_MOST = 3
_SIDE = (*LEAVES, "tag")


def beside(folded: FoldedGraph) -> list[tuple[int, list[str]]]:
    """Frame (-1 for none) and the ids that share a row in it, the op first."""
    boxes = {box.id: box for box in folded.nodes}
    users: defaultdict[str, list[str]] = defaultdict(list)
    targets: defaultdict[str, list[str]] = defaultdict(list)
    for edge in folded.edges:
        users[edge.target].append(edge.source)
        targets[edge.source].append(edge.target)
    rows: defaultdict[str, list[str]] = defaultdict(list)
    crowd: defaultdict[str, int] = defaultdict(int)
    for leaf in folded.nodes:
        way = _way_up(leaf, boxes, users, targets)
        if len(way) > 1:
            rows[way[-1]] += way[-2::-1]
            crowd[way[-1]] += 1
    return [(boxes[op].cluster, [op, *row]) for op, row in rows.items() if crowd[op] <= _MOST]


def _way_up(
    leaf: FoldedNode,
    boxes: Mapping[str, FoldedNode],
    users: Mapping[str, Sequence[str]],
    targets: Mapping[str, Sequence[str]],
) -> list[str]:
    """From a leaf with one user through thin plumbing to the op, all in one frame; else nothing."""
    if leaf.kind not in _SIDE:
        return []
    way = [leaf.id]
    while way[-1] == leaf.id or boxes[way[-1]].plumbing:
        above = users.get(way[-1], ())
        if len(above) != 1 or boxes[above[0]].cluster != leaf.cluster:
            return []
        if boxes[above[0]].plumbing and len(targets[above[0]]) != 1:
            return []
        way.append(above[0])
    return way
