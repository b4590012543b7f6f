"""Tensor → statistics, computed where the tensor lives and moved to Python in one go.

NOTE [Deferred statistics]
A call per tensor and number costs more than the small ops of a typical script, and ``.item()`` on
an accelerator waits for it. So small tensors wait in a group of equal shape and dtype until the
group is flushed, over several steps when the model is small, with one stacked reduction each;
large ones are reduced at once. On the CPU the few resulting numbers are read there and then;
elsewhere they stay on the device until ``settle`` moves them, all together. What waits is a copy:
the user may change a tensor in place or free it, and nothing of theirs is kept alive.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from itertools import repeat
from typing import Any

from torch import Tensor

from gradscope.capture.groups import UNMEASURED, WAITING_ELEMENTS, Groups
from gradscope.capture.held import HELD_ELEMENTS, LIGHT, Batch, Held, Ticket, Waiting
from gradscope.capture.quiet import let_pass, outside_transforms, transforms_active, uncollected
from gradscope.capture.readable import (
    PLAIN,
    Unreadable,
    has_no_numbers,
    is_wrapped,
    readable,
)

_WHOLE = slice(None)


class Collector:
    """Measures tensors and delivers the numbers of each to where they are wanted."""

    def __init__(self) -> None:
        self.dropped: dict[str, int] = {}
        self._groups = Groups(self.drop)
        self._held = Held()
        self._later: list[Batch] = []
        self._later_elements = 0
        self._numbers: list[tuple[Tensor, Ticket]] = []

    def add(self, tensor: Tensor, own: bool = False) -> Ticket:
        """Measures a tensor as it is now.

        Args:
            tensor: Any strided, sparse or complex tensor.
            own: Whether nobody else has it.
        """
        ticket = Ticket()
        self.put(tensor, ticket, _WHOLE, own)
        return ticket

    def add_number(self, number: Tensor) -> Ticket:
        """Measures a tensor of one element together with others of the kind, such as losses."""
        strange = type(number) is not Tensor or is_wrapped(number) or transforms_active()
        if strange or has_no_numbers(number):
            return self.add(number)
        ticket = Ticket()
        self._numbers.append((number.data.clone(), ticket))
        return ticket

    def hold(self, tensor: Tensor) -> Ticket:
        """Measures a forward result now if it is large, else only if somebody will want to know."""
        count = tensor.numel()
        if count > LIGHT or type(tensor) not in PLAIN or is_wrapped(tensor) or transforms_active():
            return self.add(tensor)
        ticket = self._held.value(tensor, count)
        if self._held.elements > HELD_ELEMENTS:
            self._put_own(self._held.excess())
        return ticket

    def hold_batch(self, batch: Batch) -> None:
        """The same for gradients of one backward; there may be too much held after it."""
        self._held.batch(batch)

    @property
    def is_half_full(self) -> bool:
        """Whether much is held that might be let go of."""
        return self._held.elements > HELD_ELEMENTS // 2

    def measure_held(self, tickets: Iterable[Ticket | None]) -> None:
        """Has held values measured that are certain to be wanted."""
        self._put_own(self._held.values({id(ticket) for ticket in tickets}))

    def let_go(self) -> None:
        """Lets go of what is held and nobody wants any more."""
        self._held.prune()

    def put_batch(self, batch: Batch) -> None:
        """Measures gradients of one backward."""
        self._put_own(batch.take())

    def measure_later(self, batch: Batch) -> None:
        """Measures gradients of one backward together with the same ones of the next."""
        if batch.elements:
            self._later.append(batch)
            self._later_elements += batch.elements
            if self._later_elements > WAITING_ELEMENTS:
                self._flush()

    def _flush(self) -> None:
        """Reduces everything that waits."""
        if not (self._later or self._numbers or self._groups.waiting):
            return
        with uncollected(), outside_transforms() if transforms_active() else nullcontext():
            self._gather()
            self._groups.flush()

    def _gather(self) -> None:
        """Puts what is to be measured later into groups: one gradient of all backwards at once."""
        later, self._later, self._later_elements = self._later, [], 0
        numbers, self._numbers = self._numbers, []
        if numbers:
            self._put_alike([n for n, _ in numbers], [ticket for _, ticket in numbers], _WHOLE)
        alike: dict[tuple[object, ...], list[Batch]] = {}
        for batch in later:
            alike.setdefault(tuple(batch.keys()), []).append(batch)
        for keys, batches in alike.items():
            sinks = [batch.sink for batch in batches]
            gradients = zip(*(batch.tensors() for batch in batches), strict=True)
            for key, same in zip(keys, gradients, strict=True):
                self._put_alike(same, sinks, key)

    def _put_alike(self, tensors: Sequence[Tensor], sinks: Sequence[Any], key: object) -> None:
        """Measures copies that most likely have one shape and dtype."""
        try:
            done = self._groups.put_alike(tensors, sinks, key)
        except BaseException as error:
            let_pass(error)
            self.drop(UNMEASURED, len(tensors))
            return
        if not done:
            self._put_own(zip(tensors, sinks, repeat(key), strict=False))

    def _put_own(self, waiting: Iterable[Waiting]) -> None:
        for tensor, sink, key in waiting:
            self.put(tensor, sink, key, own=True)

    def put(self, tensor: Tensor, sink: Any, key: object, own: bool = False) -> None:
        """Sets ``sink[key]`` to a row for ``measured``, by ``settle`` at the latest.

        Nothing is set when the tensor cannot be read. Call with torch functions disabled.

        Args:
            tensor: What to measure as it is now.
            sink: Where its numbers arrive.
            key: At which key.
            own: Whether nobody else has the tensor, so that it may wait itself.
        """
        try:
            if transforms_active():
                with outside_transforms():
                    self._groups.put(readable(tensor), sink, key, own)
            elif type(tensor) in PLAIN and not is_wrapped(tensor):
                self._groups.put(tensor, sink, key, own)
            else:
                self._groups.put(readable(tensor), sink, key, own)
        except Unreadable:
            self.drop(
                "tensors without readable numbers (fake, freed or function-transform wrapped)"
            )
        except BaseException as error:
            let_pass(error)
            self.drop(UNMEASURED)

    def drop(self, reason: str, count: int = 1) -> None:
        """Counts something that was not measured."""
        self.dropped[reason] = self.dropped.get(reason, 0) + count

    def settle(self) -> None:
        """Reduces every waiting tensor and every one held, and moves all numbers to Python."""
        self._put_own(self._held.take())
        self.arrive()

    def arrive(self) -> None:
        """The same for all but what is held."""
        self._flush()
        self._groups.arrive()
