"""The values of small leaves at a backward: copied at once, measured only if somebody asks.

Most graphs are forgotten soon, and the values of their leaves with them.
"""

from __future__ import annotations

import torch
from torch import Tensor

from gradscope.capture.changes import flat_copy
from gradscope.capture.held import Ticket
from gradscope.capture.readable import PLAIN, has_no_numbers
from gradscope.capture.stats import SMALL, Collector


class Snapshot:
    """Copies of tensors by node id, made together.

    Args:
        tensors: Node ids and tensors to copy; see ``fits``.
        measured: Node ids and tickets of those that are measured at once.

    Attributes:
        nodes: The node ids.
    """

    __slots__ = ("_copies", "_tickets", "nodes")

    def __init__(self, tensors: list[tuple[int, Tensor]], measured: dict[int, Ticket]) -> None:
        self.nodes = [*(node for node, _ in tensors), *measured]
        self._tickets = measured
        self._copies: list[tuple[list[int], list[torch.Size], Tensor]] = []
        alike: dict[tuple[torch.dtype, torch.device], list[tuple[int, Tensor]]] = {}
        for node, tensor in tensors:
            alike.setdefault((tensor.dtype, tensor.device), []).append((node, tensor))
        for items in alike.values():
            flat = flat_copy([tensor for _, tensor in items])
            self._copies.append(([n for n, _ in items], [t.shape for _, t in items], flat))

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
