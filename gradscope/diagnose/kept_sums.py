"""Running totals that were never run backward and hold the graphs of steps that are over."""

from __future__ import annotations

from gradscope.analysis.paths import op_base
from gradscope.model.graph import Node, Structure

TERMS = 20
_SPENT_SHARE = 0.9  # of the terms; the last one's backward may still come
_HOPS = 8  # between a term and the loss it was made from


def longest_sum(structure: Structure) -> tuple[Node, int] | None:
    """The last addition of the longest total of terms whose own backward has run, and how many.

    What a backward has used is not known to the capture any more: such nodes have no source.
    """
    nodes = structure.nodes
    ahead: dict[int, tuple[int, int]] = {}  # additions behind one and of their terms the spent
    adds = [n.id for n in nodes if op_base(n.op) == "Add" and n.source is not None]
    for index in sorted(adds, key=lambda i: nodes[i].order):
        before = _previous(structure, nodes[index])
        spent = any(_is_spent(structure, i) for i in _terms(structure, index, before))
        length, known = ahead.get(before, (0, 0)) if before is not None else (0, 0)
        ahead[index] = (length + 1, known + spent)
    ends = [i for i, (n, spent) in ahead.items() if spent >= max(TERMS, _SPENT_SHARE * n)]
    last = max(ends, key=lambda i: ahead[i], default=None)
    return None if last is None else (nodes[last], ahead[last][1])


def _previous(structure: Structure, node: Node) -> int | None:
    """The addition of the same line that the node adds to, itself scaled perhaps."""
    for edge in structure.outgoing[node.id]:
        for index in _down(structure, structure.edges[edge].target):
            other = structure.nodes[index]
            if op_base(other.op) == "Add" and other.source == node.source:
                return index
    return None


def _terms(structure: Structure, index: int, before: int | None) -> list[int]:
    """What an addition adds to the one before it."""
    targets = [structure.edges[edge].target for edge in structure.outgoing[index]]
    return [target for target in targets if before not in _down(structure, target)]


def _is_spent(structure: Structure, index: int) -> bool:
    way = [structure.nodes[i] for i in _down(structure, index)]
    return any(node.kind == "op" and node.source is None for node in way)


def _down(structure: Structure, index: int) -> list[int]:
    """The node and those after it, as long as there is one way towards the leaves."""
    found = [index]
    while len(structure.outgoing[index]) == 1 and len(found) < _HOPS:
        index = structure.edges[structure.outgoing[index][0]].target
        found.append(index)
    return found
