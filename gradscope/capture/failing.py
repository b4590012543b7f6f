"""Where and why the engine stopped, told by the nodes of its graph when it has raised.

NOTE [Autopsy]
The engine's message names neither the node nor the line. But reading what a node saved raises the
very error that the engine met there, so the nodes are asked one after the other in the engine's
order, once, after the failure. Where saved-tensor hooks of the user are in the way, nothing is
read. The lines of nodes that an earlier backward has freed are found among the last graphs it ran
over.
"""

from __future__ import annotations

import re
import threading
from collections import deque
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from types import FrameType

from torch import Tensor

from gradscope.capture.booking import Pending
from gradscope.capture.labels import Labels
from gradscope.capture.mutations import Mutations, address
from gradscope.capture.names import Names
from gradscope.capture.quiet import recover
from gradscope.capture.source import carried_name, place
from gradscope.capture.unpacking import raises
from gradscope.capture.windows import Window
from gradscope.model.events import Failure
from gradscope.model.graph import Source

MAX_PAST = 32  # backwards that are remembered
MAX_WITH_LINES = 4  # of them with the lines of their nodes, whose values stay held as long
MAX_PAST_NODES = 50_000  # of their graphs together
_CHANGED = re.compile(r"is at version (\d+); expected version (\d+)")
_NO_LINES: Sequence[Window | None] = ()
_FREED = "backward through the graph a second time"


@dataclass(slots=True)
class _Past:
    """A backward that has let its graph go; without nodes where only parameters were seen."""

    step: int
    thread: int
    latest: int  # highest sequence number of its nodes; of the roots where they alone are known
    counter: int  # the thread's count of nodes when it ran
    sequence: Sequence[int] = ()
    windows: Sequence[Window | None] = _NO_LINES


class Failing:
    """Explains failed runs.

    Args:
        mutations: Knows what was changed in place.
        labels: Reads the user's names.

    Attributes:
        failures: Failed runs that could not be looked at.
    """

    def __init__(self, mutations: Mutations, labels: Labels) -> None:
        self.failures = 0
        self._mutations = mutations
        self._labels = labels
        self._past: deque[_Past] = deque()
        self._nodes = 0
        self._kept = (0, -1)  # thread of the last backward that kept its graph, its count of nodes

    def remember(self, pending: Pending) -> None:
        """After a run that let its graph go: its nodes may be met again."""
        raw, thread, made = pending.raw, threading.get_ident(), pending.made_before
        if pending.call.keep_graph:
            self._kept = (thread, made)
            return
        if raw is not None and len(raw.sequence) <= MAX_PAST_NODES:
            latest = max(raw.sequence, default=-1)
            past = _Past(pending.index, thread, latest, made, raw.sequence, raw.windows)
        else:
            past = _Past(pending.index, thread, _latest_root(pending), made)
        if past.latest < 0:
            return
        self._past.append(past)
        self._nodes += len(past.sequence)
        if len(self._past) > MAX_WITH_LINES:
            self._past[-1 - MAX_WITH_LINES].windows = _NO_LINES
        while len(self._past) > MAX_PAST or self._nodes > MAX_PAST_NODES:
            self._nodes -= len(self._past.popleft().sequence)

    def explain(self, pending: Pending, frame: FrameType) -> Failure | None:
        """What the failed run says; None when it is about something else.

        Args:
            pending: The run, whose nodes are still held. Its graph gets the lines of freed nodes.
            frame: Where the user's names are read.
        """
        try:
            return self._explain(pending, pending.error or "", frame)
        except BaseException as error:
            recover(error)
            self.failures += 1
            return None

    def _explain(self, pending: Pending, message: str, frame: FrameType) -> Failure | None:
        versions = _CHANGED.search(message)
        if versions is not None:
            return self._changed(pending, message, int(versions[2]), int(versions[1]), frame)
        return self._freed(pending, frame) if _FREED in message else None

    def _changed(
        self, pending: Pending, message: str, expected: int, found: int, frame: FrameType
    ) -> Failure | None:
        said = message.partition(": ")[2].partition(" Hint:")[0]
        for i in _engine_order(pending):
            saved = raises(pending.run.walked.nodes[i], said)
            if saved is None:
                continue
            where = address(saved)
            change = self._mutations.first(where, expected, found) if where else None
            names = self._labels.scan(frame)
            kept = self._from_before(pending, i, frame) if change is None else None
            alias = _alias(names, saved, where) or (change.variable if change else "")
            return Failure(
                op=pending.run.plan.ops[i],
                node=i,
                source=_line(pending.raw.windows[i] if pending.raw else None),
                variable=kept[0] if kept else alias,
                carried=kept[1] if kept else None,
                change=change,
                parameter=_leaf_at(pending, where),
                expected=expected,
                found=found,
            )
        return None

    def _from_before(
        self, pending: Pending, failed: int, frame: FrameType
    ) -> tuple[str, Source | None] | None:
        """What leads the new graph to a node made before a backward that kept its own graph."""
        thread, counter = self._kept
        numbers = _numbers(pending)
        known = thread == threading.get_ident() and 0 <= numbers[failed] < counter
        if pending.raw is None or not known or not _used_since(pending, numbers, counter):
            return None
        old = {i for i, n in enumerate(numbers) if 0 <= n < counter}
        edge, output_nr = _frontier(pending, numbers, old) or (None, 0)
        if edge is None:
            return None
        window = pending.raw.windows[edge]
        name = self._carrier(pending, edge, frame) or _assigned(window, output_nr)
        return name, _line(window)

    def _freed(self, pending: Pending, frame: FrameType) -> Failure | None:
        numbers = _numbers(pending)
        old = self._old(numbers)
        _restore_lines(pending, numbers, old)
        failed = self._failed_node(pending, old)
        if failed is None:
            return None
        edge, output_nr = _frontier(pending, numbers, old) or (None, 0)
        windows = pending.raw.windows if pending.raw else [None] * len(numbers)
        carried = windows[edge] if edge is not None else None
        past = old.get(failed)
        return Failure(
            op=pending.run.plan.ops[failed],
            node=failed,
            source=_line(windows[failed]),
            variable=self._carrier(pending, edge, frame) or _assigned(carried, output_nr),
            carried=_line(carried),
            freed_by=past.step if past is not None else None,
            rebuilt=_ran_again(carried, [windows[i] for i in range(len(numbers)) if i not in old]),
            side_by_side=past is not None and not _used_since(pending, numbers, past.counter),
        )

    def _old(self, numbers: Sequence[int]) -> dict[int, _Past]:
        """Which nodes a backward of this thread has let go, and the last that did."""
        here = threading.get_ident()
        old: dict[int, _Past] = {}
        for past in self._past:
            if past.thread != here:
                continue
            gone = set(past.sequence)
            for i, n in enumerate(numbers):
                if n >= 0 and (n in gone or (not gone and n <= past.latest)):
                    old[i] = past
        return old

    def _failed_node(self, pending: Pending, old: dict[int, _Past]) -> int | None:
        nodes = pending.run.walked.nodes
        ran = {node for node, _ in pending.run.gradients} if not old else set()
        for i in _engine_order(pending):
            if (i in old or not old) and i not in ran and raises(nodes[i], _FREED, any_of=True):
                return i
        return None

    def _carrier(self, pending: Pending, edge: int | None, frame: FrameType) -> str:
        """The user's name, where it is alive, of what leads from the new nodes to the old ones."""
        if edge is None:
            return ""
        node = pending.run.walked.nodes[edge]
        alive = (name for name, t in self._labels.scan(frame).results if t.grad_fn is node)
        return next(alive, "")


def _latest_root(pending: Pending) -> int:
    """Sequence number of the root made last; -1 when all are leaves."""
    roots = [pending.run.walked.nodes[i]._sequence_nr() for i, _ in pending.run.walked.roots]
    return max((n for n in roots if n < 1 << 63), default=-1)


def _numbers(pending: Pending) -> list[int]:
    """Sequence numbers of the nodes; -1 for leaves."""
    if pending.raw is not None:
        return pending.raw.sequence
    found = [node._sequence_nr() for node in pending.run.walked.nodes]
    return [-1 if n >= 1 << 63 else n for n in found]


def _engine_order(pending: Pending) -> list[int]:
    """Nodes that are no leaves, made last first."""
    numbers = _numbers(pending)
    return sorted((i for i, n in enumerate(numbers) if n >= 0), key=lambda i: -numbers[i])


def _restore_lines(pending: Pending, numbers: Sequence[int], old: dict[int, _Past]) -> None:
    if pending.raw is None:
        return
    places: dict[int, dict[int, int]] = {}
    for i, past in old.items():
        if not past.windows:
            continue
        if past.step not in places:
            places[past.step] = {n: at for at, n in enumerate(past.sequence)}
        at = places[past.step].get(numbers[i])
        if pending.raw.windows[i] is None and at is not None:
            pending.raw.windows[i] = past.windows[at]


def _frontier(
    pending: Pending, numbers: Sequence[int], old: Container[int]
) -> tuple[int, int] | None:
    """The latest old node that a new one leads to, and its output."""
    reached = {(t, nr) for s, _, t, nr in pending.run.plan.edges if t in old and s not in old}
    return max(reached, key=lambda found: (numbers[found[0]], found[1]), default=None)


def _ran_again(window: Window | None, new: Sequence[Window | None]) -> bool:
    """Whether one of the new calls was made where that one was."""
    if window is None:
        return False
    here = (window.code, window.lasti)
    return any(w is not None and (w.code, w.lasti) == here for w in new)


def _used_since(pending: Pending, numbers: Sequence[int], counter: int) -> bool:
    """Whether any leaf was used in a node made after the thread had made so many."""
    leaves = pending.run.plan.leaves
    return any(t in leaves and numbers[s] >= counter for s, _, t, _ in pending.run.plan.edges)


def _line(window: Window | None) -> Source | None:
    if window is None or window.code is None:
        return None
    return place(window.code, window.lasti)


def _assigned(window: Window | None, output_nr: int) -> str:
    if window is None or window.code is None:
        return ""
    return carried_name(window.code, window.lasti, output_nr)


def _alias(names: Names, saved: Tensor, where: int) -> str:
    """The user's name of a tensor with the same elements, in the same shape if there is one."""
    found = [(n, t) for n, t in _alive(names) if where and address(t) == where]
    found.sort(key=lambda pair: pair[1].shape != saved.shape)
    return found[0][0] if found else ""


def _alive(names: Names) -> Iterator[tuple[str, Tensor]]:
    yield from names.results
    yield from names.leaves


def _leaf_at(pending: Pending, where: int) -> int | None:
    for leaf in pending.run.leaves.values():
        tensor = leaf.ref()
        if where and tensor is not None and address(tensor) == where:
            return leaf.index
    return None
