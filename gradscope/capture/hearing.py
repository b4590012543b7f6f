"""What one run of the engine hears: small gradients are copied, large ones measured at once."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from gradscope.capture.forward import dispatch_modes
from gradscope.capture.held import HEARD_ELEMENTS, Batch, light_count
from gradscope.capture.quiet import NO_FUNCTIONS, quiet, transforms_active
from gradscope.capture.stats import Collector

Sink = dict[Any, Any]  # where numbers arrive, by key


class Hearing:
    """Gradients of one run on their way to their numbers.

    Args:
        collector: Measures them.
        received: Where the numbers of what nodes received arrive, by ``(node, output_nr)``.
        sent: Where those of what came along one edge alone do, by edge.
    """

    __slots__ = ("_collector", "_leaves", "_nodes", "_received", "_sent", "_sent_alone")

    def __init__(self, collector: Collector, received: Sink, sent: Sink) -> None:
        self._collector = collector
        self._received = received
        self._sent = sent
        self._nodes = Batch(received)
        self._leaves = Batch(received)
        self._sent_alone = Batch(sent)

    def one(self, slot: tuple[int, int], gradient: Tensor) -> None:
        """What a node with one output received; not when ``is_unusual``."""
        self._hold(self._nodes, slot, gradient)
        if self._nodes.elements > HEARD_ELEMENTS:
            self._bound()

    def all(self, slot: tuple[int, int], gradients: tuple[Tensor | None, ...]) -> None:
        """What a node received, beginning with the output of ``slot``."""
        usual = not is_unusual()
        node, output_nr = slot
        with NO_FUNCTIONS() if usual else quiet():
            for nr, gradient in enumerate(gradients, output_nr):
                key = slot if nr == output_nr else (node, nr)
                self._add(self._nodes if usual else None, self._received, key, gradient)
        self._bound()

    def leaf(self, slot: tuple[int, int], gradient: Tensor) -> None:
        """What a leaf received: it is measured in every run, so it waits apart."""
        if type(gradient) is not Tensor or is_unusual():
            with quiet():
                self._collector.put(gradient, self._received, slot)
            return
        self._hold(self._leaves, slot, gradient)
        if self._leaves.elements > HEARD_ELEMENTS:
            self._collector.measure_later(self._leaves)
            self._leaves = Batch(self._received)

    def along(self, edges: list[tuple[int, int]], gradients: tuple[Tensor | None, ...]) -> None:
        """What a node sent along some edges: ``(slot, edge)``."""
        usual = not is_unusual()
        with NO_FUNCTIONS() if usual else quiet():
            for slot, edge in edges:
                batch = self._sent_alone if usual else None
                self._add(batch, self._sent, edge, gradients[slot])
        self._bound()

    def _hold(self, batch: Batch, slot: tuple[int, int], gradient: Tensor) -> None:
        with NO_FUNCTIONS():
            self._add(batch, self._received, slot, gradient)

    def _add(self, batch: Batch | None, sink: Sink, key: Any, gradient: Tensor | None) -> None:
        if gradient is None:
            sink[key] = None
        elif batch is not None and (count := light_count(gradient)):
            batch.add(gradient, count, key)
        else:
            self._collector.put(gradient, sink, key)

    def _bound(self) -> None:
        """Has what was heard so far measured if it is much, so that no more of it is held."""
        if self._nodes.elements + self._sent_alone.elements > HEARD_ELEMENTS:
            self._collector.put_batch(self._nodes)
            self._collector.put_batch(self._sent_alone)

    def slots(self) -> set[Any]:
        """Where gradients have arrived so far, measured or not."""
        return {*self._received, *self._nodes.keys(), *self._leaves.keys()}

    def hand_over(self, wanted: bool) -> None:
        """After the run: has it all measured, or held until that is known to be wanted."""
        self._collector.measure_later(self._leaves)
        for batch in (self._nodes, self._sent_alone):
            if wanted:
                self._collector.put_batch(batch)
            else:
                self._collector.hold_batch(batch)


def is_unusual() -> bool:
    """Whether a dispatch mode or a transform of ``torch.func`` would see what we do."""
    return bool(dispatch_modes() or transforms_active())
