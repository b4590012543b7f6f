"""Which tensor carries the graphs of earlier steps into the one of the last."""

from __future__ import annotations

from gradscope.diagnose.around import towards_leaves
from gradscope.model.graph import Node, Structure

_REPEATS = 3  # made so many times by the same line
_MOST = 16  # variables looked at


def carrier(structure: Structure) -> Node | None:
    """The last but one node of the variable that leads to the most of what was made before.

    A running total and a hidden state are made again and again by one line, each from the one
    before. Of several such chains (the steps of a sequence within the total of an epoch), the one
    that reaches farthest back crosses from step to step. None where no variable has a name.
    """
    best: tuple[int, Node] | None = None
    for members in _repeated(structure)[:_MOST]:
        last, before = members[-1], members[-2]
        held = towards_leaves(structure, [before.id])
        if members[0].id not in held:
            continue
        if before.id not in towards_leaves(structure, [last.id]):
            continue
        if best is None or len(held) > best[0]:
            best = len(held), before
    return best[1] if best else None


def _repeated(structure: Structure) -> list[list[Node]]:
    """The named ops of one line each, in the order they were made; the latest line first."""
    groups: dict[object, list[Node]] = {}
    for node in sorted(structure.nodes, key=lambda node: node.order):
        if node.kind == "op" and node.label and node.source is not None:
            groups.setdefault((node.label, node.source.file, node.source.line), []).append(node)
    often = [members for members in groups.values() if len(members) >= _REPEATS]
    return sorted(often, key=lambda members: -members[-1].order)
