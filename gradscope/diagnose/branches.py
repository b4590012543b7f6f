"""Whether what lies farthest from the loss is the front of a network, or a branch of one block.

NOTE [A branch is no front]
The op farthest from the loss may lie at the end of a branch whose gradient is small by nature:
queries and keys of an attention that hardly distinguishes, the first factor of a low-rank update
whose second one starts at zero. The layers before such a block are fixed, or the way would lead
on through it. Two facts tell it from a gradient that vanishes with the depth. Most of the change
is made between two neighbouring layers, where depth would repeat it; and another branch of the
same block is no worse off than the rules allow.
"""

from __future__ import annotations

from itertools import pairwise

from gradscope.analysis.flow import flow
from gradscope.analysis.paths import direct_leaves, role
from gradscope.diagnose.depth import DECADES, SUSTAINED, Trend, trend
from gradscope.diagnose.layout import REPEATED

BLOCK = 3  # layers of a branch: a normalisation and two factors
MOST = 0.5  # of the change, made by one layer
_REGION = 64  # nodes: a block of attention has about 30


def is_front(found: Trend) -> bool:
    """Whether a gradient that shrinks along the way has shrunk for all that lies so far."""
    return not _made_by_one_layer(found) and not _has_healthy_branch(found)


def _made_by_one_layer(found: Trend) -> bool:
    """Whether most is lost from one layer with parameters to the next, and little elsewhere."""
    if len(_layers(found)) < REPEATED:
        return False
    sizes = dict(zip(found.sites, found.logs, strict=True))
    levels = [sizes[position] for position in _layers(found)]
    lost = levels[0] - levels[-1]
    largest = max(before - after for before, after in pairwise(levels))
    return largest > MOST * lost and lost - largest < SUSTAINED


def _layers(found: Trend) -> list[int]:
    """Those of the compared positions that have parameters of their own."""
    structure = found.graph.structure
    seen: set[int] = set()
    own = []
    for position in found.sites:
        leaves = direct_leaves(structure, found.hops[position].node)
        if leaves - seen:
            own.append(position)
        seen |= leaves
    return own


def _has_healthy_branch(found: Trend) -> bool:
    """Whether another layer, as far behind the last forks of the way, has not lost so much."""
    layers = _layers(found)
    way = {hop.node: position for position, hop in enumerate(found.hops)}
    for node in _beside(found, layers[-BLOCK - 1] if len(layers) > BLOCK else 0, way):
        path = flow(found.graph, node)
        fork = max((way[n] for n in path.nodes if n in way), default=0)
        behind = sum(position > fork for position in layers)
        aside = sum(_is_layer(found, n) for n in path.nodes if n not in way)
        if 0 < behind <= BLOCK and aside >= behind - 1:
            other = trend(found.graph, path, through_time=False)
            if other.zero is None and other.sites and -other.decades < DECADES:
                return True
    return False


def _beside(found: Trend, first: int, way: dict[int, int]) -> list[int]:
    """The layers that lie behind the end of the way, from a position on, and not on it."""
    structure = found.graph.structure
    stack = [hop.node for hop in found.hops[first:]]
    seen = {*stack, *way}
    while stack and len(seen) < len(way) + _REGION:
        for edge in structure.outgoing[stack.pop()]:
            child = structure.edges[edge].target
            if child not in seen:
                seen.add(child)
                stack.append(child)
    return [node for node in sorted(seen - set(way)) if _is_layer(found, node)]


def _is_layer(found: Trend, node: int) -> bool:
    structure = found.graph.structure
    return role(structure.nodes[node].op) == "work" and bool(direct_leaves(structure, node))
