"""Small tensors that wait until it is known whether anybody will ask for their numbers.

NOTE [Held tensors]
Of most backwards only the leaves' gradients go into the report: the graph is kept of a few, of the
last one, and of those that went wrong. So small values and gradients are not measured but copied,
and let go of when nothing refers any more to where their numbers would arrive. What is still wanted
is measured when too many are held, and at the end. Copies, since whoever holds a tensor of the
user's keeps all of its storage alive, and the engine from reusing it as it does without us.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Container, Iterable, Iterator
from itertools import chain, compress, repeat
from operator import not_
from sys import getrefcount
from typing import Any

from torch import Tensor

from gradscope.capture.quiet import NO_FUNCTIONS, dispatch_modes, tracing, transforms_active

LIGHT = 4096  # elements; at or below, a copy is held
HELD_ELEMENTS = 1 << 24  # at most so many are held altogether: 64 MB of float32
HEARD_ELEMENTS = 1 << 22  # in one batch

# Where the numbers of one tensor arrive: empty until they are known, then a row for ``measured``.
Ticket = bytearray
Waiting = tuple[Tensor, Any, Any]  # a tensor, sink and key
_WHOLE = slice(None)
_REFERRED = 3  # by the entry that holds it, by a list of all, and by the call that asks


class Batch:
    """Gradients of one backward, one after the other: tuples would be many for the collector.

    Args:
        sink: Where their numbers arrive, by key, if it is kept.

    Attributes:
        elements: Of all of them together.
    """

    __slots__ = ("_flat", "elements", "sink")

    def __init__(self, sink: dict[Any, Any]) -> None:
        self.sink = sink
        self.elements = 0
        self._flat: list[Any] = []  # a copy, its key, ...; both at once, for interrupts

    def hold(self, gradient: Tensor | None, key: object) -> bool:
        """Holds a copy of a small plain gradient; False, and nothing done, where it may not."""
        if type(gradient) is not Tensor or self.elements > HEARD_ELEMENTS:
            return False
        if dispatch_modes() or transforms_active() or tracing():
            return False
        with NO_FUNCTIONS():
            count = gradient.numel()
            if count > LIGHT or not count or gradient.requires_grad or gradient.is_nested:
                return False
            self._flat += (gradient.clone(), key)
        self.elements += count
        return True

    def keys(self) -> list[Any]:
        """The keys of all gradients."""
        return self._flat[1::2]

    def tensors(self) -> list[Tensor]:
        """The copies, in the order of the keys."""
        return self._flat[::2]

    def take(self) -> Iterator[Waiting]:
        """All of them, which are then let go of."""
        flat, self._flat, self.elements = self._flat, [], 0
        return zip(flat[::2], repeat(self.sink), flat[1::2], strict=False)


class Held:
    """What is held at the moment.

    Attributes:
        elements: How many, those included that nobody wants any more.
    """

    def __init__(self) -> None:
        self.elements = 0
        self._values: list[Any] = []  # a copy, its elements, its ticket, ...; as in ``Batch``
        self._batches: list[Batch] = []

    def value(self, tensor: Tensor, count: int) -> Ticket:
        """Holds a copy of a forward result; its numbers arrive in the ticket if it is kept."""
        ticket = Ticket()
        self._values += (tensor.data.clone(), count, ticket)
        self.elements += count
        return ticket

    def batch(self, batch: Batch) -> None:
        """Holds gradients of one backward."""
        if batch.elements:
            self._batches.append(batch)
            self.elements += batch.elements

    def prune(self) -> None:
        """Lets go of what nobody wants any more."""
        tickets = self._values[2::3]
        wanted = [count > _REFERRED for count in map(getrefcount, tickets)]
        self._values = _flat(compress(_triples(self._values), wanted))
        sinks = [batch.sink for batch in self._batches]
        wanted = [count > _REFERRED for count in map(getrefcount, sinks)]
        self._batches = list(compress(self._batches, wanted))
        self.elements = sum(self._values[1::3]) + sum([b.elements for b in self._batches])

    def values(self, tickets: Container[int]) -> Iterator[Waiting]:
        """The values with these tickets, by id; they are held no longer."""
        chosen = [id(ticket) in tickets for ticket in self._values[2::3]]
        found = list(compress(_triples(self._values), chosen))
        self._values = _flat(compress(_triples(self._values), map(not_, chosen)))
        for data, count, ticket in found:
            self.elements -= count
            yield data, ticket, _WHOLE

    def excess(self) -> Iterator[Waiting]:
        """What must be measured since too much is held: values first, they are wanted for longer.

        The gradients of the latest backward are let go of when the next one is over.
        """
        self.prune()
        values, batches = deque(_triples(self._values)), deque(self._batches)
        while values and self.elements > HELD_ELEMENTS // 2:
            data, count, ticket = values.popleft()
            self.elements -= count
            yield data, ticket, _WHOLE
        while batches and self.elements > HELD_ELEMENTS // 2:
            batch = batches.popleft()
            self.elements -= batch.elements
            yield from batch.take()
        self._values = _flat(values)
        self._batches = list(batches)

    def take(self) -> Iterator[Waiting]:
        """Everything that is still wanted: tensor, version, sink and key; nothing stays held."""
        self.prune()
        values, batches = self._values, self._batches
        self._values, self._batches, self.elements = [], [], 0
        for data, _, ticket in _triples(values):
            yield data, ticket, _WHOLE
        for batch in batches:
            yield from batch.take()


def _triples(flat: list[Any]) -> Iterator[tuple[Tensor, int, Ticket]]:
    return zip(flat[::3], flat[1::3], flat[2::3], strict=True)


def _flat(triples: Iterable[tuple[Tensor, int, Ticket]]) -> list[Any]:
    return list(chain.from_iterable(triples))
