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

import math
import threading
import weakref
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from time import perf_counter_ns
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from gradscope.capture.changes import Change, measure_grads, measure_updates, norms, to_floats
from gradscope.capture.dynamo import own_work
from gradscope.capture.leaves import Leaf, Leaves, same, sample
from gradscope.capture.quiet import quiet, recover
from gradscope.capture.readable import plain_forms
from gradscope.model.graph import Source
from gradscope.model.trace import Update

FINGERPRINT = 64  # elements compared to notice a write to ``.data``
MAX_HELD = 1 << 18  # elements held until changes are measured


class _Looked(NamedTuple):
    """Before a backward: what ``.grad`` was; cleared where the norm is 0."""

    cleared: list[Leaf]
    asked: list[Leaf]
    norms: list[Tensor]  # of those asked


class _Stepping(NamedTuple):
    """Before an optimizer's step."""

    leaves: list[Leaf]
    change: Change


class _Stepped(NamedTuple):
    """After it, or an update by hand, of which there is no ``Change``."""

    update: int
    leaves: list[Leaf]
    positions: list[int]  # of those that took part
    change: Change | None


_Event = Leaf | _Looked | _Stepping | _Stepped  # a leaf: a contribution to its ``.grad``


class _Before(NamedTuple):
    optimizer: int  # id, while it steps
    leaves: list[Leaf]
    parameters: list[Tensor]
    change: Change
    done: set[Leaf]  # what an optimizer inside this one has stepped


class Ledger:
    """Follows contributions, clearing and updates of every leaf.

    Args:
        leaves: The registry shared with the rest of the capture.
        line: Gives the user's line that is running now.
        hand_line: Gives the line that last changed a leaf in place.
    """

    def __init__(
        self,
        leaves: Leaves,
        line: Callable[[], Source | None],
        hand_line: Callable[[Tensor], Source | None],
    ) -> None:
        self.updates: list[Update] = []
        self.own_ns = 0
        self.failures = 0
        self.last_step = -1
        self._retired = False
        self._leaves = leaves
        self._line = line
        self._hand_line = hand_line
        self._events: list[_Event] = []
        self._held = 0
        self._local = threading.local()
        self._labels: weakref.WeakKeyDictionary[Optimizer, str] = weakref.WeakKeyDictionary()
        self._label_counts: dict[str, int] = {}

    def install(self, undo: ExitStack) -> None:
        """Registers the global optimizer hooks; ``undo`` removes them."""
        undo.callback(register_optimizer_step_pre_hook(self._guarded(self._step_begins)).remove)
        undo.callback(register_optimizer_step_post_hook(self._guarded(self._step_ended)).remove)

    def retire(self) -> None:
        """Lets every optimizer step pass unseen."""
        self._retired = True

    def contributed(self, leaf: Leaf) -> None:
        """A gradient is about to be added to the leaf's ``.grad``."""
        self._events.append(leaf)

    def look(self, leaves: Iterable[Leaf]) -> None:
        """Before a backward: were these leaves updated by hand, or cleared, since the last one?"""
        changed: list[tuple[Leaf, Tensor]] = []
        cleared: list[Leaf] = []
        asked: list[Leaf] = []
        grads: list[Tensor] = []
        for leaf in leaves:
            tensor = leaf.ref()
            if tensor is None:
                continue
            if not leaf.by_optimizer and _changed(leaf, tensor):
                changed.append((leaf, tensor))
            grad = tensor.grad
            if grad is None:
                cleared.append(leaf)
            else:
                asked.append(leaf)
                grads.append(grad)
        self._hand_updates(changed)
        self._events.append(_Looked(cleared, asked, norms(plain_forms(grads))))

    def remember(self, leaves: Iterable[Leaf]) -> None:
        """After a backward: keeps what tells a later update by hand."""
        for leaf in leaves:
            tensor = leaf.ref()
            if tensor is not None and not leaf.by_optimizer:
                leaf.change = (tensor._version, sample(tensor, FINGERPRINT))

    def finish(self) -> None:
        """At the end of the run: looks once more for updates by hand, and settles."""
        with quiet():
            alive = [(leaf, t) for leaf in self._leaves if (t := leaf.ref()) is not None]
            self._hand_updates([(leaf, t) for leaf, t in alive if _changed(leaf, t)])
            self.settle()

    def settle(self) -> None:
        """Moves waiting numbers to Python and books the queued events in their order."""
        events, self._events, self._held = self._events, [], 0
        measure_grads([e.change for e in events if isinstance(e, _Stepping)])
        measure_updates([e.change for e in events if isinstance(e, _Stepped) and e.change])
        moved = iter(to_floats([n for e in events if isinstance(e, _Looked) for n in e.norms]))
        for event in events:
            if isinstance(event, Leaf):
                event.fresh += 1
            elif isinstance(event, _Looked):
                _clear(event.cleared)
                _clear(leaf for leaf in event.asked if next(moved) == 0.0)
            elif isinstance(event, _Stepping):
                norms_of = dict(zip(event.leaves, event.change.grad_norms, strict=True))
                _clear(leaf for leaf, norm in norms_of.items() if norm == 0.0)
                without = set(range(len(event.leaves))) - set(event.change.with_grad)
                _clear(event.leaves[i] for i in without)
            else:
                _book(event)

    def _hand_updates(self, changed: list[tuple[Leaf, Tensor]]) -> None:
        if not changed:
            return
        source = next((s for _, t in changed if (s := self._hand_line(t)) is not None), None)
        index = self._new_update("hand", "", source, len(changed))
        for leaf, tensor in changed:
            leaf.change = (tensor._version, sample(tensor, FINGERPRINT))
        leaves = [leaf for leaf, _ in changed]
        self._events.append(_Stepped(index, leaves, list(range(len(leaves))), None))

    def _new_update(self, by: Any, label: str, source: Source | None, parameters: int) -> int:
        index = len(self.updates)
        self.updates.append(Update(index, self.last_step, by, label, source, parameters))
        return index

    def _step_begins(self, optimizer: Optimizer) -> None:
        found = [(self._leaves.get(p), p) for p in _parameters(optimizer)]
        leaves = [leaf for leaf, _ in found if leaf is not None]
        parameters = [p for leaf, p in found if leaf is not None]
        change = Change(parameters)
        self._events.append(_Stepping(leaves, change))
        self._held += change.held
        for leaf in leaves:
            leaf.by_optimizer = True
            leaf.change = None
        running = self._running()
        stale = [i for i, before in enumerate(running) if before.optimizer == id(optimizer)]
        del running[stale[0] if stale else len(running) :]  # an earlier step raised
        running.append(_Before(id(optimizer), leaves, parameters, change, set()))

    def _running(self) -> list[_Before]:
        """The steps this thread is inside of: an optimizer may wrap another."""
        running: list[_Before] | None = getattr(self._local, "running", None)
        if running is None:
            running = self._local.running = []
        return running

    def _ended(self, optimizer: Optimizer) -> _Before | None:
        """What was noted when the step began; those inside it that raised are dropped."""
        running = self._running()
        if not any(before.optimizer == id(optimizer) for before in running):
            return None
        while running[-1].optimizer != id(optimizer):
            running.pop()
        return running.pop()

    def _step_ended(self, optimizer: Optimizer) -> None:
        before = self._ended(optimizer)
        if before is None:
            return
        label = self._label(optimizer)
        had_grad = set(before.change.with_grad)
        stepped = []
        for i, (leaf, parameter) in enumerate(zip(before.leaves, before.parameters, strict=True)):
            if label not in leaf.optimizers:
                leaf.optimizers.append(label)
            if leaf not in before.done and (i in had_grad or parameter.grad is not None):
                stepped.append(i)
        for outer in self._running():
            outer.done.update(before.leaves[i] for i in stepped)
        if before.done and not stepped:  # a wrapper that left all the work to what it wraps
            return
        index = self._new_update("optimizer", label, self._line(), len(stepped))
        before.change.after(before.parameters)
        self._events.append(_Stepped(index, before.leaves, stepped, before.change))
        if self._held > MAX_HELD:
            self.settle()

    def _label(self, optimizer: Optimizer) -> str:
        label = self._labels.get(optimizer)
        if label is None:
            name = type(optimizer).__name__
            count = self._label_counts[name] = self._label_counts.get(name, 0) + 1
            label = self._labels[optimizer] = name if count == 1 else f"{name}#{count}"
        return label

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


def _parameters(optimizer: Optimizer) -> list[Tensor]:
    found = [p for group in optimizer.param_groups for p in group["params"]]
    return [p for p in found if isinstance(p, Tensor) and p.is_leaf]


def _changed(leaf: Leaf, tensor: Tensor) -> bool:
    if leaf.change is None or leaf.by_optimizer:
        return False
    version, values = leaf.change
    if tensor._version != version:
        return True
    return tensor.device.type == "cpu" and not same(values, sample(tensor, FINGERPRINT))


def _clear(leaves: Iterable[Leaf]) -> None:
    for leaf in leaves:
        leaf.fresh = leaf.carried = 0


def _book(event: _Stepped) -> None:
    change = event.change
    for i in event.positions:
        leaf = event.leaves[i]
        row = leaf.updates
        row.update.append(event.update)
        row.fresh.append(leaf.fresh)
        row.carried.append(leaf.carried)
        row.grad_norm.append(change.grad_norms[i] if change is not None else math.nan)
        row.value_rms.append(change.value_rms[i] if change is not None else math.nan)
        row.update_rms.append(change.update_rms[i] if change is not None else math.nan)
        leaf.carried += leaf.fresh
        leaf.fresh = 0
