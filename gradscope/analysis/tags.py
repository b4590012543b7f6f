"""Arrows too long to follow: they end, or begin, at a tag with the name of the distant box.

NOTE [Tags]: a weight of an unrolled loop is used again in every turn. Sixty arrows from all over
the picture to one box are nothing to look at, and Graphviz needs minutes to route them. So the box
stays beside its first use, and every other use has a tag with its name; likewise the outputs of all
turns that are stacked at the end.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from gradscope.analysis.folded import FoldedEdge, FoldedGraph, FoldedNode, GradientSummary

Arrow = tuple[str, str]
"""Source and target."""
LEAVES = ("parameter", "input", "leaves")
_MANY = 6  # arrows that one box may always have
_FAR = 10  # ranks; about a screen
_APART = 3  # tags of one box; more become one with a line for each


def with_tags(folded: FoldedGraph, never: Container[Arrow] = ()) -> FoldedGraph:
    """The boxes, and boxes of kind ``tag`` in place of the distant ends of such arrows.

    Args:
        folded: The picture's graph.
        never: Arrows to draw in full.
    """
    ends = _distant_ends(folded, never)
    if not ends:
        return folded
    boxes = {box.id: box for box in folded.nodes}
    rest: list[FoldedEdge] = []
    cut: defaultdict[tuple[str, bool], list[FoldedEdge]] = defaultdict(list)
    for edge in folded.edges:
        end = ends.get((edge.source, edge.target))
        if end is None:
            rest.append(edge)
        else:
            near = edge.source if end == edge.target else edge.target
            cut[near, end == edge.target].append(edge)
    numbers: Counter[str] = Counter()
    tags: list[FoldedNode] = []
    for (near, below), edges in cut.items():
        for part in [edges] if len(edges) > _APART else [[edge] for edge in edges]:
            tag = _tag(part, boxes[near], below, numbers)
            tags.append(tag)
            rest.append(_arrow(part, near, tag.id, below))
    elsewhere = Counter(ends.values())
    nodes = (replace(box, elsewhere=elsewhere[box.id]) for box in folded.nodes)
    return replace(folded, nodes=(*nodes, *tags), edges=tuple(rest))


def ranks_passed(folded: FoldedGraph) -> int:
    """Ranks that all arrows together pass without ending there: what makes a layout slow."""
    return min(
        sum(max(0, at[edge.target] - at[edge.source] - 1) for edge in folded.edges)
        for at in _ranks(folded)
    )


def _tag(
    edges: Sequence[FoldedEdge], near: FoldedNode, below: bool, numbers: Counter[str]
) -> FoldedNode:
    distant = tuple(edge.target if below else edge.source for edge in edges)
    prefix = distant[0] if len(distant) == 1 else near.id
    numbers[prefix] += 1
    return FoldedNode(
        id=f"{prefix}_{numbers[prefix]}",
        kind="tag",
        members=(),
        anchor=near.anchor,
        contents=distant,
        cluster=near.cluster,
        gradient=GradientSummary(turns=tuple(edge.gradient for edge in edges)),
    )


def _arrow(edges: Sequence[FoldedEdge], near: str, tag: str, below: bool) -> FoldedEdge:
    known = [edge.gradient for edge in edges if edge.gradient is not None]
    strange = (gradient for gradient in known if not math.isfinite(gradient))
    return FoldedEdge(
        source=near if below else tag,
        target=tag if below else near,
        count=sum(edge.count for edge in edges),
        gradient=next(strange, max(known, default=None)),
        is_absent=all(edge.is_absent for edge in edges),
    )


def _distant_ends(folded: FoldedGraph, never: Container[Arrow]) -> dict[Arrow, str]:
    """Arrow to the box at the end of it that gets a tag."""
    high, low = _ranks(folded)
    arrows = [(edge.source, edge.target) for edge in folded.edges]
    arrows = [arrow for arrow in arrows if arrow not in never]
    kinds = {box.id: box.kind for box in folded.nodes}
    ends: dict[Arrow, str] = {}
    for target, into in _crowds(arrows, 1):
        far = _far_uses(into, high, low) if kinds[target] in LEAVES else _far(into, high)
        ends.update(dict.fromkeys(far, target))
    for source, parts in _crowds((arrow for arrow in arrows if arrow not in ends), 0):
        ends.update(dict.fromkeys(_far(parts, low), source))
    return ends


def _crowds(arrows: Iterable[Arrow], end: int) -> Iterator[tuple[str, list[Arrow]]]:
    """Boxes with more than ``_MANY`` arrows at this end of them."""
    found: defaultdict[str, list[Arrow]] = defaultdict(list)
    for arrow in arrows:
        found[arrow[end]].append(arrow)
    return ((box, at) for box, at in found.items() if len(at) > _MANY)


def _far_uses(into: Sequence[Arrow], *rankings: Mapping[str, int]) -> Sequence[Arrow]:
    """Of a leaf, which lies where one likes: all but the first, unless they are close together."""
    uses = sorted(into, key=lambda arrow: [ranks[arrow[0]] for ranks in rankings])
    places = ([ranks[user] for user, _ in uses] for ranks in rankings)
    return uses[1:] if any(max(at) - min(at) > _FAR for at in places) else ()


def _far(arrows: Iterable[Arrow], ranks: Mapping[str, int]) -> Iterator[Arrow]:
    return (arrow for arrow in arrows if ranks[arrow[1]] - ranks[arrow[0]] > _FAR)


def _ranks(folded: FoldedGraph) -> tuple[dict[str, int], dict[str, int]]:
    """Where every box lies when it is drawn as near to the loss, and as far from it, as can be."""
    users = Counter(edge.target for edge in folded.edges)
    targets: defaultdict[str, list[str]] = defaultdict(list)
    for edge in folded.edges:
        targets[edge.source].append(edge.target)
    high = {box.id: 0 for box in folded.nodes}
    order = [box.id for box in folded.nodes if not users[box.id]]
    for source in order:  # grows while it is walked
        for target in targets[source]:
            high[target] = max(high[target], high[source] + 1)
            users[target] -= 1
            if not users[target]:
                order.append(target)
    leaves = {box.id for box in folded.nodes if box.kind in LEAVES}
    low = dict(high)
    for source in reversed(order):
        below = [low[target] for target in targets[source] if target not in leaves]
        low[source] = min(below, default=high[source] + 1) - 1
    return high, low
