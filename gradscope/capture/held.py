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
from collections.abc import Container, Iterator
from itertools import repeat
from sys import getrefcount
from typing import Any, NamedTuple

from torch import Tensor

LIGHT = 4096  # elements; at or below, a copy is held
HELD_ELEMENTS = 1 << 24  # at most so many are held altogether: 64 MB of float32
HEARD_ELEMENTS = 1 << 22  # of one backward

# Where the numbers of one tensor arrive: empty until they are known, then a row for ``measured``.
Ticket = bytearray
Waiting = tuple[Tensor, Any, Any]  # a tensor, sink and key
_WHOLE = slice(None)
_REFERRED = 2  # by the entry that holds it and by the call that asks


class _Value(NamedTuple):
    data: Tensor
    elements: int
    ticket: Ticket


class Batch:
    """Gradients of one backward, in lists: tuples would give the garbage collector much to do.

    Args:
        sink: Where their numbers arrive, by key, if it is kept.

    Attributes:
        elements: Of all of them together.
    """

    __slots__ = ("_keys", "_tensors", "elements", "sink")

    def __init__(self, sink: dict[Any, Any]) -> None:
        self.sink = sink
        self.elements = 0
        self._tensors: list[Tensor] = []
        self._keys: list[Any] = []

    def add(self, tensor: Tensor, elements: int, key: object) -> None:
        """Holds a copy of a gradient."""
        self._tensors.append(tensor.clone())
        self._keys.append(key)
        self.elements += elements

    def keys(self) -> list[Any]:
        """The keys of all gradients."""
        return self._keys

    def take(self) -> Iterator[Waiting]:
        """All of them, which are then let go of."""
        tensors, keys = self._tensors, self._keys
        self._tensors, self._keys, self.elements = [], [], 0
        return zip(tensors, repeat(self.sink), keys, strict=False)


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
        self._batches: list[Batch] = []

    def value(self, tensor: Tensor, count: int) -> Ticket:
        """Holds a copy of a forward result; its numbers arrive in the ticket if it is kept."""
        ticket = Ticket()
        self._values.append(_Value(tensor.detach().clone(), count, ticket))
        self.elements += count
        return ticket

    def batch(self, batch: Batch) -> None:
        """Holds gradients of one backward."""
        if batch.elements:
            self._batches.append(batch)
            self.elements += batch.elements

    def prune(self) -> None:
        """Lets go of what nobody wants any more."""
        self._values = [v for v in self._values if getrefcount(v.ticket) > _REFERRED]
        self._batches = [b for b in self._batches if getrefcount(b.sink) > _REFERRED]
        self.elements = sum(value.elements for value in self._values)
        self.elements += sum(batch.elements for batch in self._batches)

    def values(self, tickets: Container[int]) -> Iterator[Waiting]:
        """The values with these tickets, by id; they are held no longer."""
        found = [v for v in self._values if id(v.ticket) in tickets]
        if found:
            self._values = [v for v in self._values if id(v.ticket) not in tickets]
        for value in found:
            self.elements -= value.elements
            yield value.data, value.ticket, _WHOLE

    def excess(self) -> Iterator[Waiting]:
        """What must be measured since too much is held: values first, they are wanted for longer.

        The gradients of the latest backward are let go of when the next one is over.
        """
        self.prune()
        values, batches = deque(self._values), deque(self._batches)
        while values and self.elements > HELD_ELEMENTS // 2:
            value = values.popleft()
            self.elements -= value.elements
            yield value.data, value.ticket, _WHOLE
        while batches and self.elements > HELD_ELEMENTS // 2:
            batch = batches.popleft()
            self.elements -= batch.elements
            yield from batch.take()
        self._values, self._batches = list(values), list(batches)

    def take(self) -> Iterator[Waiting]:
        """Everything that is still wanted: tensor, version, sink and key; nothing stays held."""
        self.prune()
        values, batches = self._values, self._batches
        self._values, self._batches, self.elements = [], [], 0
        for data, _, ticket in values:
            yield data, ticket, _WHOLE
        for batch in batches:
            yield from batch.take()
