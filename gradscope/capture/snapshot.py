"""The values of small leaves at a backward: copied at once, measured only if somebody asks.

Most graphs are forgotten soon, and the values of their leaves with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import compress
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor

from gradscope.capture.changes import KIND, flat_copy
from gradscope.capture.groups import SMALL
from gradscope.capture.held import Ticket
from gradscope.capture.leaves import Leaf, present, tensors_of
from gradscope.capture.readable import PLAIN, all_plain, has_no_numbers
from gradscope.capture.stats import Collector

_SHAPE = attrgetter("shape")


class Snapshot:
    """Copies of the values of small leaves by node id, made together.

    Args:
        leaves: By node id.
        collector: Measures the others at once; None: nobody asks for these.

    Attributes:
        nodes: The ids of all nodes whose values are known.
    """

    __slots__ = ("_copies", "_tickets", "nodes")

    def __init__(self, leaves: Mapping[int, Leaf], collector: Collector | None) -> None:
        tensors: list[Any] = tensors_of(leaves.values())
        alive = dict(compress(zip(leaves, tensors, strict=True), present(tensors)))
        small = _small(alive)
        self._tickets: dict[int, Ticket] = {}
        if collector is not None:
            self._tickets = {i: collector.add(t) for i, t in alive.items() if i not in small}
        self.nodes = [*small, *self._tickets]
        self._copies: list[tuple[list[int], list[torch.Size], Tensor]] = []
        kinds = list(map(KIND, small.values()))
        for kind in set(kinds):
            chosen = list(map(kind.__eq__, kinds))
            those = list(compress(small.values(), chosen))
            copied = (list(compress(small, chosen)), list(map(_SHAPE, those)), flat_copy(those))
            self._copies.append(copied)

    def tickets(self, collector: Collector) -> dict[int, Ticket]:
        """Node id → where its numbers will be; the copies are let go of."""
        copies, self._copies = self._copies, []
        for nodes, shapes, flat in copies:
            parts = flat.split([shape.numel() for shape in shapes])
            for node, shape, part in zip(nodes, shapes, parts, strict=True):
                self._tickets[node] = collector.add(part.view(shape), own=True)
        return self._tickets


def _small(tensors: dict[int, Tensor]) -> dict[int, Tensor]:
    """Those that are small and plain enough to be copied at every backward."""
    every = list(tensors.values())
    if all_plain(every):
        return dict(compress(tensors.items(), map(SMALL.__ge__, map(Tensor.numel, every))))
    return {node: tensor for node, tensor in tensors.items() if _fits(tensor)}


def _fits(tensor: Tensor) -> bool:
    plain = type(tensor) in PLAIN and tensor.layout is torch.strided
    return plain and tensor.numel() <= SMALL and not has_no_numbers(tensor)
