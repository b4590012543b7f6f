"""The ledger: what was added to each ``.grad``, cleared, and consumed by an update.

NOTE [The ledger]
Missing ``zero_grad`` is judged when a parameter is *updated*: an update that consumes
contributions from before an earlier update has accumulated. So per leaf two numbers are kept,
``fresh`` (contributions since the last update) and ``carried`` (older ones still in ``.grad``).
Clearing is seen, however it was done, as a ``.grad`` that is None or all zero when the next
contribution or update comes. Updates by hand are seen as a moved version counter, or as changed
elements where ``.data`` was written, between two backwards or at the end. What is seen goes into
a queue first, since on an accelerator the numbers arrive later.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable
from contextlib import ExitStack
from dataclasses import replace
from itertools import compress, filterfalse
from operator import attrgetter
from time import perf_counter_ns
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from gradscope.capture.accounts import Event, HandChange, Looked, Stepped, Stepping, settle
from gradscope.capture.changes import Change, norms
from gradscope.capture.dynamo import own_work
from gradscope.capture.leaves import Leaf, Leaves, same, sample
from gradscope.capture.optimizers import Entry, Line, Optimizers, goes_uphill, learning_rate
from gradscope.capture.quiet import quiet, recover
from gradscope.capture.readable import plain_forms
from gradscope.model.graph import Source
from gradscope.model.trace import Update

FINGERPRINT = 64  # elements compared to notice a write to ``.data``
MAX_HELD = 1 << 20  # elements held until changes are measured
_BY_OPTIMIZER = attrgetter("by_optimizer")


class _Before(NamedTuple):
    optimizer: int  # id, while it steps
    entry: Entry
    leaves: list[Leaf]
    parameters: list[Tensor]
    change: Change
    done: set[Leaf]  # what an optimizer inside this one has stepped


class _Running(threading.local):
    """The steps that each thread is inside of: an optimizer may wrap another."""

    def __init__(self) -> None:
        self.steps: list[_Before] = []

    def ended(self, optimizer: Optimizer) -> _Before | None:
        """What was noted when its step began; those inside it that raised are dropped."""
        for i, before in enumerate(self.steps):
            if before.optimizer == id(optimizer):
                del self.steps[i:]
                return before
        return None


class Ledger:
    """Follows contributions, clearing and updates of every leaf.

    Args:
        leaves: The registry shared with the rest of the capture.
        line: Gives the user's line at or above a frame; without one, that is running now.
        hand_line: Gives the line that last changed a leaf in place.

    Attributes:
        updates: Every update so far; ``starved`` is known once the ledger has settled.
        optimizers: Those met.
    """

    def __init__(
        self,
        leaves: Leaves,
        line: Line,
        hand_line: Callable[[Tensor], Source | None],
    ) -> None:
        self.updates: list[Update] = []
        self.optimizers = Optimizers(leaves, line)
        self.own_ns = 0
        self.failures = 0
        self._retired = False
        self._leaves = leaves
        self._line = line
        self._hand_line = hand_line
        self._events: list[Event] = []
        self._held = 0
        self._running = _Running()

    @property
    def last_step(self) -> int:
        """Index of the last step that is over; -1 when none."""
        return self.optimizers.last_step

    @last_step.setter
    def last_step(self, index: int) -> None:
        self.optimizers.last_step = index

    @property
    def is_settled(self) -> bool:
        """Whether everything that was seen is booked."""
        return not self._events

    def install(self, undo: ExitStack) -> None:
        """Registers the global optimizer hooks; ``undo`` removes them."""
        self.optimizers.install(undo)
        undo.callback(register_optimizer_step_pre_hook(self._guarded(self._step_begins)).remove)
        undo.callback(register_optimizer_step_post_hook(self._guarded(self._step_ended)).remove)

    def retire(self) -> None:
        """Lets every optimizer step pass unseen."""
        self._retired = True
        self.optimizers.retire()

    def contributed(self, leaf: Leaf) -> None:
        """A gradient is about to be added to the leaf's ``.grad``."""
        self._events.append(leaf)

    def look(self, leaves: Collection[Leaf]) -> None:
        """Before a backward: were these leaves updated by hand, or cleared, since the last one?"""
        self._hand_updates(leaves)
        self.optimizers.meet()
        cleared: list[Leaf] = []
        asked: list[Leaf] = []
        grads: list[Tensor] = []
        for leaf in leaves:
            tensor = leaf.ref()
            if tensor is None:
                continue
            grad = tensor.grad
            if grad is None:
                cleared.append(leaf)
            else:
                asked.append(leaf)
                grads.append(grad)
        self._events.append(Looked(cleared, asked, norms(plain_forms(grads))))

    def remember(self, leaves: Iterable[Leaf]) -> None:
        """After a backward: keeps what tells a later update by hand."""
        for leaf, tensor in _not_stepped(leaves):
            leaf.change = (tensor._version, sample(tensor, FINGERPRINT))

    def finish(self) -> None:
        """At the end of the run: looks once more for updates by hand, and settles."""
        with quiet():
            self.optimizers.finish()
            self._hand_updates(self._leaves)
            self.settle()

    def settle(self) -> None:
        """Moves waiting numbers to Python and books the queued events in their order."""
        events, self._events, self._held = self._events, [], 0
        for index, count in settle(events).items():
            self.updates[index] = replace(self.updates[index], starved=count)

    def _hand_updates(self, among: Iterable[Leaf]) -> None:
        changed = [(leaf, t) for leaf, t in _not_stepped(among) if _changed(leaf, t)]
        if not changed:
            return
        source = next((s for _, t in changed if (s := self._hand_line(t)) is not None), None)
        index = self._new_update(by="hand", source=source, parameters=len(changed))
        leaves, samples = [], []
        for leaf, tensor in changed:
            before = leaf.change[1] if leaf.change is not None else torch.empty(0)
            after = sample(tensor, FINGERPRINT)
            leaf.change = (tensor._version, after)
            leaves.append(leaf)
            samples.append((before, after))
        self._held += 2 * FINGERPRINT * len(samples)
        change = HandChange(samples)
        self._events.append(Stepped(index, leaves, [True] * len(leaves), change))

    def _new_update(self, **facts: Any) -> int:
        index = len(self.updates)
        self.updates.append(Update(index, self.last_step, **facts))
        return index

    def _step_begins(self, optimizer: Optimizer) -> None:
        entry, parameters = self.optimizers.stepping(optimizer)
        leaves, change = entry.leaves, Change(parameters)
        for leaf in filterfalse(_BY_OPTIMIZER, leaves):
            leaf.by_optimizer = True
            leaf.change = None
        self._events.append(Stepping(leaves, change))
        self._held += change.held
        running = self._running
        running.ended(optimizer)  # an earlier step that raised
        running.steps.append(_Before(id(optimizer), entry, leaves, parameters, change, set()))

    def _step_ended(self, optimizer: Optimizer) -> None:
        before = self._running.ended(optimizer)
        if before is None:
            return
        before.entry.label_leaves(before.leaves)
        took_part = _took_part(before)
        for outer in self._running.steps:
            outer.done.update(compress(before.leaves, took_part))
        if before.done and not any(took_part):  # a wrapper that left all to what it wraps
            return
        index = self._new_update(
            optimizer=before.entry.label,
            source=self._line(),
            parameters=sum(took_part),
            lr=learning_rate(optimizer),
            maximize=goes_uphill(optimizer),
        )
        before.change.after(before.parameters)
        self._events.append(Stepped(index, before.leaves, took_part, before.change))
        if self._held > MAX_HELD:
            self.settle()

    def _guarded(self, hook: Callable[[Optimizer], None]) -> Callable[[Optimizer, Any, Any], None]:
        @own_work
        def run(optimizer: Optimizer, _args: Any, _kwargs: Any) -> None:
            if self._retired or torch.compiler.is_compiling():
                return
            started = perf_counter_ns()
            try:
                with quiet():
                    hook(optimizer)
            except BaseException as error:
                recover(error)
                self.failures += 1
            self.own_ns += perf_counter_ns() - started

        return run


def _took_part(before: _Before) -> list[bool]:
    """Which leaves the step may have changed: they have a gradient, or had one before."""
    done, had_grad = before.done, set(before.change.with_grad)
    if not done and len(had_grad) == len(before.leaves):
        return [True] * len(before.leaves)
    return [
        leaf not in done and (i in had_grad or parameter.grad is not None)
        for i, (leaf, parameter) in enumerate(zip(before.leaves, before.parameters, strict=True))
    ]


def _not_stepped(leaves: Iterable[Leaf]) -> list[tuple[Leaf, Tensor]]:
    """Those alive that no optimizer has ever stepped on."""
    found = filterfalse(_BY_OPTIMIZER, leaves)
    return [(leaf, tensor) for leaf in found if (tensor := leaf.ref()) is not None]


def _changed(leaf: Leaf, tensor: Tensor) -> bool:
    if leaf.change is None:
        return False
    version, values = leaf.change
    if tensor._version != version:
        return True
    return tensor.device.type == "cpu" and not same(values, sample(tensor, FINGERPRINT))
