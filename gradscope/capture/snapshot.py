"""The values of small leaves at a backward: copied at once, measured only if somebody asks.

Most graphs are forgotten soon, and the values of their leaves with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain

import torch
from torch import Tensor

from gradscope.capture.changes import flat_copy
from gradscope.capture.groups import SMALL
from gradscope.capture.held import Ticket
from gradscope.capture.leaves import Leaf
from gradscope.capture.readable import PLAIN, has_no_numbers
from gradscope.capture.stats import Collector


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
        self._tickets: dict[int, Ticket] = {}
        small: dict[object, tuple[list[int], list[Tensor]]] = {}
        for node, leaf in leaves.items():
            tensor = leaf.ref()
            if tensor is None:
                continue
            if _fits(tensor):
                nodes, tensors = small.setdefault((tensor.dtype, tensor.device), ([], []))
                nodes.append(node)
                tensors.append(tensor)
            elif collector is not None:
                self._tickets[node] = collector.add(tensor)
        self._copies = [
            (nodes, [tensor.shape for tensor in tensors], flat_copy(tensors))
            for nodes, tensors in small.values()
        ]
        self.nodes = [*chain.from_iterable([nodes for nodes, _ in small.values()]), *self._tickets]

    def tickets(self, collector: Collector) -> dict[int, Ticket]:
        """Node id → where its numbers will be; the copies are let go of."""
        copies, self._copies = self._copies, []
        for nodes, shapes, flat in copies:
            parts = flat.split([shape.numel() for shape in shapes])
            for node, shape, part in zip(nodes, shapes, parts, strict=True):
                self._tickets[node] = collector.add(part.view(shape), own=True)
        return self._tickets


def _fits(tensor: Tensor) -> bool:
    """Whether a leaf is small and plain enough to be copied at every backward."""
    plain = type(tensor) in PLAIN and tensor.layout is torch.strided
    return plain and tensor.numel() <= SMALL and not has_no_numbers(tensor)
