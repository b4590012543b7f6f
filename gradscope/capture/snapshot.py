"""The values of small leaves at a backward: copied at once, measured only if somebody asks.

Most graphs are forgotten soon, and the values of their leaves with them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gradscope.capture.changes import flat_copy
from gradscope.capture.groups import SMALL
from gradscope.capture.held import Ticket
from gradscope.capture.readable import PLAIN, has_no_numbers
from gradscope.capture.stats import Collector


class Snapshot:
    """Copies of tensors by node id, made together.

    Args:
        nodes: Ids of the nodes of ``tensors``.
        tensors: What to copy; see ``fits``.
        measured: Node ids and tickets of those that are measured at once.

    Attributes:
        nodes: The ids of all nodes.
    """

    __slots__ = ("_copies", "_tickets", "nodes")

    def __init__(
        self, nodes: list[int], tensors: list[Tensor], measured: dict[int, Ticket]
    ) -> None:
        self.nodes = [*nodes, *measured]
        self._tickets = measured
        self._copies: list[tuple[list[int], list[torch.Size], Tensor]] = []
        kinds = [(tensor.dtype, tensor.device) for tensor in tensors]
        for kind in set(kinds):
            those = [i for i, other in enumerate(kinds) if other == kind]
            flat = flat_copy([tensors[i] for i in those])
            self._copies.append(
                ([nodes[i] for i in those], [tensors[i].shape for i in those], flat)
            )

    def tickets(self, collector: Collector) -> dict[int, Ticket]:
        """Node id → where its numbers will be; the copies are let go of."""
        copies, self._copies = self._copies, []
        for nodes, shapes, flat in copies:
            parts = flat.split([shape.numel() for shape in shapes])
            for node, shape, part in zip(nodes, shapes, parts, strict=True):
                self._tickets[node] = collector.add(part.view(shape), own=True)
        return self._tickets


def fits(tensor: Tensor) -> bool:
    """Whether a leaf is small and plain enough to be copied at every backward."""
    plain = type(tensor) in PLAIN and tensor.layout is torch.strided
    return plain and tensor.numel() <= SMALL and not has_no_numbers(tensor)
