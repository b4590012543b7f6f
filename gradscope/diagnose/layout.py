"""Which places of the gradient's way are compared: a matter of structure, the same in every step.

Backwards of one kind mostly take the same way through the same structure, and whether an op has
parameters of its own or is a step of a recurrence does not depend on any number.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from gradscope.analysis.paths import Role, direct_leaves, role, side_leaves
from gradscope.model.graph import Structure

REPEATED = 3  # fewer are not a kind


@dataclass(frozen=True, slots=True)
class Layout:
    """A way, seen without its numbers.

    Attributes:
        start: Position of the last op with a parameter.
        recurrent: Positions, counted from there, of the steps of a recurrence.
        roles: What every op from there on does to the size of a gradient.
    """

    start: int
    recurrent: range
    roles: tuple[Role, ...]


class Layouts:
    """Those of one run, each made once. The trace must outlive it: structures go by their id."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, tuple[int, ...]], Layout] = {}

    def of(self, structure: Structure, way: tuple[int, ...], *, through_time: bool) -> Layout:
        """The layout of a way, given by its nodes from the loss on.

        Args:
            structure: Of the graph.
            way: Ids of nodes.
            through_time: Whether the steps of a recurrence count like layers.
        """
        key = (id(structure), way)
        if key not in self._known:
            start = _start(structure, way)
            rest = way[start:]
            roles = tuple(role(structure.nodes[node].op) for node in rest)
            self._known[key] = Layout(start, _recurrence(structure, rest), roles)
        known = self._known[key]
        return replace(known, recurrent=range(0)) if through_time and known.recurrent else known


def _start(structure: Structure, way: Sequence[int]) -> int:
    """Position of the model's output: the first op with a parameter, else past the scalars."""
    for position, (node, onward) in enumerate(pairwise(way)):
        if direct_leaves(structure, node) - {onward}:
            return position
    for position, node in enumerate(way):
        shape = structure.nodes[node].shape
        if shape is not None and math.prod(shape) > 1:
            return position
    return 0


def _recurrence(structure: Structure, way: Sequence[int]) -> range:
    """Positions from the first to the last use of parameters that are used again and again.

    Layers have parameters of their own; steps through time share them. A parameter shared by
    layers that also have their own (one PReLU for all) makes no recurrence.
    """
    path = frozenset(way)
    beside = [side_leaves(structure, node, path) for node in way]
    uses = Counter(leaf for leaves in beside for leaf in leaves)
    again = [
        position
        for position, leaves in enumerate(beside)
        if leaves and all(uses[leaf] >= REPEATED for leaf in leaves)
    ]
    if not again:
        return range(0)
    segment = range(again[0], again[-1] + 1)
    own = sum(bool(beside[position]) for position in segment) - len(again)
    return segment if own * 2 < len(again) else range(0)
