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
import weakref
from collections.abc import Callable, Iterable, Sequence
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

from gradscope.capture.leaves import Leaf, Leaves, same, sample
from gradscope.capture.quiet import quiet
from gradscope.model.graph import Source
from gradscope.model.trace import Update

FINGERPRINT = 64  # elements compared to notice a write to ``.data``
UPDATE_SAMPLE = 4096  # elements on which update sizes are measured

Number = float | Tensor


class _Event(NamedTuple):
    kind: str  # "add", "clear?", "update"
    leaf: Leaf
    update: int = -1
    grad_norm: Number = math.nan
    value_norm: Number = math.nan
    update_norm: Number = math.nan
    sampled: int = 0  # elements that the last two are norms of


class _Before(NamedTuple):
    owned: list[tuple[Leaf, Tensor]]
    grad_norms: dict[int, Number]  # by leaf index
    values: dict[int, Tensor]  # by leaf index, of those with a gradient


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
        self._leaves = leaves
        self._line = line
        self._hand_line = hand_line
        self._events: list[_Event] = []
        self._before: dict[int, _Before] = {}
        self._labels: weakref.WeakKeyDictionary[Optimizer, str] = weakref.WeakKeyDictionary()
        self._label_counts: dict[str, int] = {}

    def install(self, undo: ExitStack) -> None:
        """Registers the global optimizer hooks; ``undo`` removes them."""
        undo.callback(register_optimizer_step_pre_hook(self._guarded(self._step_begins)).remove)
        undo.callback(register_optimizer_step_post_hook(self._guarded(self._step_ended)).remove)

    def contributed(self, leaf: Leaf) -> None:
        """A gradient is about to be added to the leaf's ``.grad``."""
        self._events.append(_Event("add", leaf))

    def look(self, leaves: Iterable[Leaf]) -> None:
        """Before a backward: were these leaves updated by hand, or cleared, since the last one?"""
        alive = [(leaf, t) for leaf in leaves if (t := leaf.ref()) is not None]
        self._hand_updates(alive)
        grads = [(leaf, t.grad) for leaf, t in alive]
        measured = iter(norms([g for _, g in grads if g is not None]))
        for leaf, grad in grads:
            norm = 0.0 if grad is None else next(measured)
            self._events.append(_Event("clear?", leaf, grad_norm=norm))

    def remember(self, leaves: Iterable[Leaf]) -> None:
        """After a backward: keeps what tells a later update by hand."""
        for leaf in leaves:
            tensor = leaf.ref()
            if tensor is not None and not leaf.by_optimizer:
                leaf.change = (tensor._version, sample(tensor, FINGERPRINT))

    def finish(self) -> None:
        """At the end of the run: looks once more for updates by hand, and settles."""
        with quiet():
            self._hand_updates(
                [(leaf, t) for leaf in self._leaves if (t := leaf.ref()) is not None]
            )
            self.settle()

    def settle(self) -> None:
        """Moves waiting numbers to Python and books the queued events in their order."""
        events, self._events = self._events, []
        tensors = [n for e in events for n in e[3:6] if isinstance(n, Tensor)]
        moved = iter(_to_floats(tensors))
        for event in events:
            numbers = [next(moved) if isinstance(n, Tensor) else n for n in event[3:6]]
            _book(event, *numbers)

    def _hand_updates(self, alive: list[tuple[Leaf, Tensor]]) -> None:
        changed = [(leaf, t) for leaf, t in alive if _changed(leaf, t)]
        if not changed:
            return
        source = next((s for _, t in changed if (s := self._hand_line(t)) is not None), None)
        index = self._new_update("hand", "", source, len(changed))
        for leaf, tensor in changed:
            leaf.change = (tensor._version, sample(tensor, FINGERPRINT))
            self._events.append(_Event("update", leaf, index))

    def _new_update(self, by: Any, label: str, source: Source | None, parameters: int) -> int:
        index = len(self.updates)
        self.updates.append(Update(index, self.last_step, by, label, source, parameters))
        return index

    def _step_begins(self, optimizer: Optimizer) -> None:
        tensors = _parameters(optimizer)
        owned = [(leaf, p) for p in tensors if (leaf := self._leaves.get(p)) is not None]
        with_grad = [(leaf.index, p.grad) for leaf, p in owned if p.grad is not None]
        measured = norms([grad for _, grad in with_grad])
        grad_norms = {i: norm for (i, _), norm in zip(with_grad, measured, strict=True)}
        for leaf, _ in owned:
            self._events.append(_Event("clear?", leaf, grad_norm=grad_norms.get(leaf.index, 0.0)))
        values = samples([(leaf.index, p) for leaf, p in owned])
        self._before[id(optimizer)] = _Before(owned, grad_norms, values)

    def _step_ended(self, optimizer: Optimizer) -> None:
        before = self._before.pop(id(optimizer), None)
        if before is None:
            return
        label = self._label(optimizer)
        stepped = [(leaf, p) for leaf, p in before.owned if p.grad is not None]
        index = self._new_update("optimizer", label, self._line(), len(stepped))
        for leaf, _ in before.owned:
            if label not in leaf.optimizers:
                leaf.optimizers.append(label)
            leaf.by_optimizer = True
            leaf.change = None
        after = samples([(leaf.index, p) for leaf, p in stepped])
        values = [before.values[leaf.index] for leaf, _ in stepped]
        deltas = torch._foreach_sub(list(after.values()), values) if values else []
        rows = zip(stepped, values, norms(values), norms(deltas), strict=True)
        for (leaf, _), sampled, value, delta in rows:
            norm = before.grad_norms.get(leaf.index, math.nan)
            event = _Event("update", leaf, index, norm, value, delta, sampled.numel())
            self._events.append(event)

    def _label(self, optimizer: Optimizer) -> str:
        label = self._labels.get(optimizer)
        if label is None:
            name = type(optimizer).__name__
            count = self._label_counts[name] = self._label_counts.get(name, 0) + 1
            label = self._labels[optimizer] = name if count == 1 else f"{name}#{count}"
        return label

    def _guarded(self, hook: Callable[[Optimizer], None]) -> Callable[[Optimizer, Any, Any], None]:
        def run(optimizer: Optimizer, _args: Any, _kwargs: Any) -> None:
            if torch.compiler.is_compiling():
                return
            started = perf_counter_ns()
            try:
                with quiet():
                    hook(optimizer)
            except Exception:
                self.failures += 1
            self.own_ns += perf_counter_ns() - started

        return run


def norms(tensors: Sequence[Tensor]) -> list[Number]:
    """L2 norms as 0-dim tensors, read later; 0 stands for all zero (or below 1e-22 in float32)."""
    if not tensors:
        return []
    plain = [t.coalesce().values() if t.is_sparse else t for t in tensors]
    if all(t.is_floating_point() and t.dtype.itemsize >= 4 for t in plain):
        return list(torch._foreach_norm(plain))
    real = [torch.view_as_real(t) if t.is_complex() else t for t in plain]
    return [torch.linalg.vector_norm(t, dtype=_wide(t)) for t in real]


def _wide(tensor: Tensor) -> torch.dtype:
    return torch.promote_types(tensor.dtype, torch.float32)


def samples(tensors: list[tuple[int, Tensor]]) -> dict[int, Tensor]:
    """Copies of up to ``UPDATE_SAMPLE`` elements of each tensor, made together per dtype."""
    flat: dict[tuple[torch.dtype, torch.device], list[tuple[int, Tensor]]] = {}
    for key, tensor in tensors:
        values = tensor.detach().reshape(-1)
        if values.numel() > UPDATE_SAMPLE:
            values = values[:: values.numel() // UPDATE_SAMPLE][:UPDATE_SAMPLE]
        flat.setdefault((values.dtype, values.device), []).append((key, values))
    found: dict[int, Tensor] = {}
    for items in flat.values():
        copy = torch.cat([values for _, values in items])
        parts = copy.split([values.numel() for _, values in items])
        found.update(zip((key for key, _ in items), parts, strict=True))
    return {key: found[key] for key, _ in tensors}


def _to_floats(tensors: list[Any]) -> list[float]:
    if not tensors:
        return []
    if len({t.device for t in tensors}) == 1:
        moved: list[float] = torch.stack([t.double() for t in tensors]).tolist()
        return moved
    return [float(t) for t in tensors]


def _parameters(optimizer: Optimizer) -> list[Tensor]:
    found = [p for group in optimizer.param_groups for p in group["params"]]
    return [p for p in found if isinstance(p, Tensor) and p.is_leaf]


def _changed(leaf: Leaf, tensor: Tensor) -> bool:
    if leaf.by_optimizer or leaf.change is None:
        return False
    version, values = leaf.change
    if tensor._version != version:
        return True
    return tensor.device.type == "cpu" and not same(values, sample(tensor, FINGERPRINT))


def _book(event: _Event, grad_norm: float, value_norm: float, update_norm: float) -> None:
    leaf = event.leaf
    if event.kind == "add":
        leaf.fresh += 1
    elif event.kind == "clear?":
        if grad_norm == 0.0:
            leaf.fresh = leaf.carried = 0
    else:
        row = leaf.updates
        row.update.append(event.update)
        row.fresh.append(leaf.fresh)
        row.carried.append(leaf.carried)
        row.grad_norm.append(grad_norm)
        row.value_rms.append(_per_element(value_norm, event.sampled))
        row.update_rms.append(_per_element(update_norm, event.sampled))
        leaf.carried += leaf.fresh
        leaf.fresh = 0


def _per_element(norm: float, count: int) -> float:
    return norm / math.sqrt(count) if count else math.nan
