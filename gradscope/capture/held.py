"""Small tensors that wait until it is known whether anybody will ask for their numbers.

NOTE [Held tensors]
Of most backwards only the leaves' gradients go into the report: the graph is kept of a few, of the
last one, and of those that went wrong. So small values and gradients are not measured but held, and
let go of when nothing refers any more to where their numbers would arrive. What is still wanted is
measured when too many are held, before an in-place change, and at the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from sys import getrefcount
from typing import Any, NamedTuple

from torch import Tensor

LIGHT = 4096  # elements; at or below, a tensor may be held
HELD_ELEMENTS = 1 << 21  # at most so many are held altogether
HEARD_ELEMENTS = 1 << 20  # of one backward

# Where the numbers of one tensor arrive: empty until they are known, then a row for ``measured``.
Ticket = bytearray
Heard = tuple[Tensor, int, Any]  # a tensor, its version when it was heard, and the key for it
_WHOLE = slice(None)
_REFERRED = 2  # by the entry that holds it and by the call that asks


class _Value(NamedTuple):
    data: Tensor
    version: int
    elements: int
    ticket: Ticket


class _Run(NamedTuple):
    heard: list[Heard]
    elements: int
    sink: dict[Any, Any]


def light_count(gradient: Tensor) -> int:
    """Elements of a gradient that may be held; 0 where it may not."""
    if type(gradient) is not Tensor or gradient.requires_grad:
        return 0
    count = gradient.numel()
    return count if count <= LIGHT else 0


class Held:
    """What is held at the moment.

    Attributes:
        elements: How many, those included that nobody wants any more.
    """

    def __init__(self) -> None:
        self.elements = 0
        self._values: list[_Value] = []
        self._runs: list[_Run] = []

    def value(self, tensor: Tensor, count: int) -> Ticket:
        """Holds the data of a forward result; its numbers arrive in the ticket if it is kept."""
        ticket = Ticket()
        self._values.append(_Value(tensor.detach(), tensor._version, count, ticket))
        self.elements += count
        return ticket

    def run(self, heard: list[Heard], count: int, sink: dict[Any, Any]) -> None:
        """Holds gradients of one backward, whose numbers arrive in ``sink`` if it is kept."""
        if heard:
            self._runs.append(_Run(heard, count, sink))
            self.elements += count

    def prune(self) -> None:
        """Lets go of what nobody wants any more."""
        self._values = [v for v in self._values if getrefcount(v.ticket) > _REFERRED]
        self._runs = [r for r in self._runs if getrefcount(r.sink) > _REFERRED]
        self.elements = sum(v.elements for v in self._values) + sum(r.elements for r in self._runs)

    def take(self) -> Iterator[tuple[Tensor, int, Any, Any]]:
        """Everything that is still wanted: tensor, version, sink and key; nothing stays held."""
        self.prune()
        values, runs = self._values, self._runs
        self._values, self._runs, self.elements = [], [], 0
        for data, version, _, ticket in values:
            yield data, version, ticket, _WHOLE
        for heard, _, sink in runs:
            for tensor, version, key in heard:
                yield tensor, version, sink, key
