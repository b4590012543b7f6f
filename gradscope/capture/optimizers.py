"""The optimizers of a run: who they are, where they were made, what they hold, how often they step.

Of an optimizer that was just made the parameters are met only at the next backward, which knows
their names, or at its first step.
"""

from __future__ import annotations

import functools
import math
import sys
import weakref
from collections.abc import Callable
from contextlib import ExitStack
from itertools import chain
from operator import attrgetter, itemgetter
from time import perf_counter_ns
from types import FrameType
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from gradscope.capture.dynamo import own_work, way_through
from gradscope.capture.leaves import Leaf, Leaves
from gradscope.capture.patching import replace
from gradscope.capture.quiet import quiet, recover
from gradscope.model.events import Addition, OptimizerFacts
from gradscope.model.graph import Source

MAX_OPTIMIZERS = 1000
MAX_CONSTRUCTORS = 16  # frames of one object's constructors, subclass by subclass

MAX_ADDED = 200  # groups that join one optimizer later
_PARAMETERS = itemgetter("params")
_IS_LEAF = attrgetter("is_leaf")

Line = Callable[..., Source | None]  # the user's line at or above a frame
_See = Callable[[Optimizer, FrameType], None]


class Entry:
    """One optimizer while the run goes on.

    Attributes:
        label: ``SGD``, or ``SGD#2`` for the second one.
        leaves: Its parameters when it was looked at last; replaced, never changed, with them.
    """

    __slots__ = (
        "_labelled",
        "added",
        "after_step",
        "label",
        "leaves",
        "optimizer",
        "source",
        "steps",
    )

    def __init__(self, label: str, optimizer: Optimizer) -> None:
        self.label = label
        self.optimizer = weakref.ref(optimizer)
        self.source: Source | None = None
        self.after_step = -1
        self.leaves: list[Leaf] = []
        self.added: list[tuple[Source | None, int, list[Leaf]]] = []
        self.steps = 0
        self._labelled: list[Leaf] = []

    def look(self, optimizer: Optimizer, leaves: Leaves) -> list[Tensor]:
        """Finds the leaves among the parameters that the optimizer has now; returns these."""
        given = list(chain.from_iterable(map(_PARAMETERS, optimizer.param_groups)))
        known = leaves.all_known(given)
        if known is not None and known == self.leaves and all(map(_IS_LEAF, given)):
            return given
        met = [(leaf, p) for p in given if _is_leaf(p) and (leaf := leaves.get(p)) is not None]
        self.leaves = [leaf for leaf, _ in met]
        return [p for _, p in met]

    def label_leaves(self, leaves: list[Leaf]) -> None:
        """Lets leaves that were stepped on know by whom."""
        if self._labelled is not leaves:
            for leaf in leaves:
                if self.label not in leaf.optimizers:
                    leaf.optimizers.append(self.label)
            self._labelled = leaves


class Optimizers:
    """Every optimizer that is made or steps.

    Args:
        leaves: The registry shared with the rest of the capture.
        line: Gives the user's line at or above a frame.

    Attributes:
        last_step: Index of the last step that is over; -1 when none.
        failures: Optimizers that could not be looked at when they were made.
        dropped: Optimizers beyond the limit.
    """

    def __init__(self, leaves: Leaves, line: Line) -> None:
        self.last_step = -1
        self.failures = 0
        self.dropped = 0
        self.own_ns = 0
        self._active = True
        self._leaves = leaves
        self._line = line
        self._known: weakref.WeakKeyDictionary[Optimizer, Entry] = weakref.WeakKeyDictionary()
        self._entries: list[Entry] = []
        self._unmet: list[Entry] = []
        self._counts: dict[str, int] = {}

    def install(self, undo: ExitStack) -> None:
        """Wraps the constructor that all optimizers share, and ``add_param_group``."""
        undo.callback(self.retire)
        replace(undo, Optimizer, "__init__", self._wrap_for(self._note))
        replace(undo, Optimizer, "add_param_group", self._wrap_for(self._add))

    def retire(self) -> None:
        """Lets every optimizer be made unseen."""
        self._active = False

    def label(self, optimizer: Optimizer) -> str:
        """``SGD``, or ``SGD#2`` for the second one."""
        return self._entry(optimizer).label

    def stepping(self, optimizer: Optimizer) -> tuple[Entry, list[Tensor]]:
        """Counts a step that begins; returns with it the tensors of the leaves it may change."""
        entry = self._entry(optimizer)
        entry.steps += 1
        return entry, entry.look(optimizer, self._leaves)

    def meet(self) -> None:
        """Registers the parameters of the optimizers made since the last time."""
        unmet, self._unmet = self._unmet, []
        for entry in unmet:
            optimizer = entry.optimizer()
            if optimizer is not None:
                entry.look(optimizer, self._leaves)

    def finish(self) -> None:
        """At the end of the run: looks at those that are alive once more."""
        self._unmet = list(self._entries)
        self.meet()

    def freeze(self) -> tuple[OptimizerFacts, ...]:
        """The finished, torch-free form."""
        return tuple(
            OptimizerFacts(
                entry.label,
                entry.source,
                entry.after_step,
                tuple(leaf.index for leaf in entry.leaves),
                entry.steps,
                tuple(
                    Addition(source, after_step, tuple(leaf.index for leaf in leaves))
                    for source, after_step, leaves in entry.added
                ),
            )
            for entry in self._entries
        )

    def _entry(self, optimizer: Optimizer) -> Entry:
        entry = self._known.get(optimizer)
        if entry is None:
            name = type(optimizer).__name__
            count = self._counts[name] = self._counts.get(name, 0) + 1
            entry = Entry(name if count == 1 else f"{name}#{count}", optimizer)
            self._known[optimizer] = entry
            if len(self._entries) < MAX_OPTIMIZERS:
                self._entries.append(entry)
            else:
                self.dropped += 1
        return entry

    def _wrap_for(self, see: _See) -> Callable[[Callable[..., None]], Callable[..., None]]:
        """Wraps a method so that ``see`` is told when it has returned."""

        def wrap(original: Callable[..., None]) -> Callable[..., None]:
            @functools.wraps(original)
            @way_through
            def run(optimizer: Optimizer, *args: Any, **kwargs: Any) -> None:
                original(optimizer, *args, **kwargs)
                if self._active and not torch.compiler.is_compiling():
                    self._made(see, optimizer, sys._getframe(1))

            return run

        return wrap

    @own_work
    def _made(self, see: _See, optimizer: Optimizer, frame: FrameType) -> None:
        started = perf_counter_ns()
        try:
            with quiet():
                see(optimizer, frame)
        except BaseException as error:
            recover(error)
            self.failures += 1
        self.own_ns += perf_counter_ns() - started

    def _note(self, optimizer: Optimizer, frame: FrameType) -> None:
        entry = self._entry(optimizer)
        entry.source = self._line(_caller(frame, optimizer))
        entry.after_step = self.last_step
        self._unmet.append(entry)

    def _add(self, optimizer: Optimizer, frame: FrameType) -> None:
        """A group that joins; those of the constructor come before any step."""
        entry = self._known.get(optimizer)
        if entry is None or not entry.steps or len(entry.added) >= MAX_ADDED:
            return
        met = [self._leaves.get(p) for p in optimizer.param_groups[-1]["params"] if _is_leaf(p)]
        leaves = [leaf for leaf in met if leaf is not None]
        entry.added.append((self._line(frame), self.last_step, leaves))


def _caller(frame: FrameType, made: object) -> FrameType:
    """The frame that wrote ``SGD(...)``, above the constructors of all its classes."""
    caller = frame
    above: FrameType | None = frame
    for _ in range(MAX_CONSTRUCTORS):
        if above is None:
            break
        code = above.f_code
        if code.co_argcount and above.f_locals.get(code.co_varnames[0]) is made:
            caller = above.f_back or caller
        above = above.f_back
    return caller


def _is_leaf(parameter: object) -> bool:
    return isinstance(parameter, Tensor) and parameter.is_leaf


def learning_rate(optimizer: Optimizer) -> float:
    """Of the first group; NaN where there is none, or only an accelerator knows it."""
    rate = optimizer.param_groups[0].get("lr") if optimizer.param_groups else None
    if isinstance(rate, Tensor):
        return float(rate) if rate.device.type == "cpu" and rate.numel() == 1 else math.nan
    return float(rate) if isinstance(rate, float | int) else math.nan


def goes_uphill(optimizer: Optimizer) -> bool:
    """Whether it maximizes, in all of its groups."""
    groups = optimizer.param_groups
    return bool(groups) and all(group.get("maximize") is True for group in groups)
