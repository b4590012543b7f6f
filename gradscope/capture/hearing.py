"""What one run of the engine hears: small gradients are copied, large ones measured at once."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from gradscope.capture.held import HEARD_ELEMENTS, Batch
from gradscope.capture.quiet import (
    NO_FUNCTIONS,
    dispatch_modes,
    quiet,
    tracing,
    transforms_active,
)
from gradscope.capture.stats import Collector

Sink = dict[Any, Any]  # where numbers arrive, by key


class Hearing:
    """Gradients of one run on their way to their numbers.

    Args:
        collector: Measures them.
        received: Where the numbers of what nodes received arrive, by ``(node, output_nr)``.
        sent: Where those of what came along one edge alone do, by edge.

    Attributes:
        nodes: Waits until it is known whether the graph is kept.
        leaves: Those are measured in every run, so they wait apart.
    """

    __slots__ = ("_collector", "_received", "_sent_alone", "leaves", "nodes")

    def __init__(self, collector: Collector, received: Sink, sent: Sink) -> None:
        self._collector = collector
        self._received = received
        self.nodes = Batch(received)
        self.leaves = Batch(received)
        self._sent_alone = Batch(sent)

    def all(self, slot: tuple[int, int], gradients: tuple[Tensor | None, ...]) -> None:
        """What a node received, beginning with the output of ``slot``."""
        node, output_nr = slot
        for nr, gradient in enumerate(gradients, output_nr):
            key = slot if nr == output_nr else (node, nr)
            if not self.nodes.hold(gradient, key):
                self.other(self.nodes, key, gradient)

    def along(self, edges: list[tuple[int, int]], gradients: tuple[Tensor | None, ...]) -> None:
        """What a node sent along some edges: ``(slot, edge)``."""
        for slot, edge in edges:
            if not self._sent_alone.hold(gradients[slot], edge):
                self.other(self._sent_alone, edge, gradients[slot])

    def other(self, batch: Batch, key: Any, gradient: Tensor | None) -> None:
        """What a batch does not hold: None, and what is large or unusual, or comes when it is full.

        It is measured at once, and so is what was heard so far if that is much.
        """
        if gradient is None:
            batch.sink[key] = None
            return
        strange = type(gradient) is not Tensor
        unusual = strange or dispatch_modes() or transforms_active() or tracing()
        with quiet() if unusual else NO_FUNCTIONS():
            self._collector.put(gradient, batch.sink, key)
        self._bound()

    def _bound(self) -> None:
        if self.nodes.elements + self._sent_alone.elements > HEARD_ELEMENTS:
            self._collector.put_batch(self.nodes)
            self._collector.put_batch(self._sent_alone)
        if self.leaves.elements > HEARD_ELEMENTS:
            self._collector.measure_later(self.leaves)
            self.leaves = Batch(self._received)

    def slots(self) -> set[Any]:
        """Where gradients have arrived so far, measured or not."""
        return {*self._received, *self.nodes.keys(), *self.leaves.keys()}

    def hand_over(self, wanted: bool) -> None:
        """After the run: has it all measured, or held until that is known to be wanted."""
        self._collector.measure_later(self.leaves)
        for batch in (self.nodes, self._sent_alone):
            if wanted:
                self._collector.put_batch(batch)
            else:
                self._collector.hold_batch(batch)
