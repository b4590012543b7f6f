"""Which torch call made which node: windows by sequence number, per thread.

NOTE [Windows]
Autograd numbers the nodes it creates with a counter per thread. Read before and after a torch
function, it brackets all nodes that the call made, inner ones included. Reading ``grad_fn`` would
tell as much but creates a Python wrapper per node, which is slow and makes deep graphs dangerous
to free; so it is read only where one call made several nodes.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from itertools import repeat
from types import CodeType
from typing import Any, NamedTuple

from gradscope.capture.held import Ticket
from gradscope.capture.modules import ModuleCall

MAX_WINDOWS = 400_000
MANY_WINDOWS = 20_000
KEPT_BACKWARDS = 8

# Sequence number, output_nr, position in the call's result, and where its numbers will be.
Result = tuple[int, int, int, Ticket | None]

# What is written to in place is a view that no backward passes: ``h[0] += 1``.
_VIEWS = frozenset(
    [
        "__getitem__",
        "__get__",
        "view",
        "view_as",
        "reshape",
        "transpose",
        "swapaxes",
        "movedim",
        "permute",
        "t",
        "select",
        "narrow",
        "unsqueeze",
        "squeeze",
        "expand",
        "expand_as",
        "flatten",
        "unflatten",
        "chunk",
        "split",
        "tensor_split",
        "unbind",
        "diagonal",
    ]
)


class Window(NamedTuple):
    """One torch call that made nodes."""

    function: Any
    code: CodeType | None
    lasti: int
    call: ModuleCall | None
    execution: int
    results: tuple[Result, ...]
    last: int  # sequence number of the last node made
    hooked: bool = False  # made under the user's saved-tensor hooks
    operands: tuple[tuple[int, ...], ...] = ()  # shapes broadcast against each other


class ThreadRecord:
    """The windows of one thread by sequence number of the nodes they made."""

    def __init__(self) -> None:
        self.windows: dict[int, Window] = {}
        self.callee = ((0, 0), 0, 0)  # library frame of the last op, how far it was, execution
        self.touched = 0  # grad_fn wrappers made since the last backward
        self.used: set[int] = set()  # nodes whose windows stay though a backward has used them
        self.used_calls: set[int] = set()  # by their last node, of calls that made several
        self.marks: deque[int] = deque(maxlen=KEPT_BACKWARDS)  # counter after each backward
        self.paused: tuple[int, Any] | None = None  # our mode, off, and how many lay below it
        self.in_engine = 0  # engine runs this thread is inside of
        self.mode: Any = None  # ours, entered in this thread for good
        self.held: list[Any] | None = None  # our modes, off while torch.compile runs

    def is_unused(self, number: int, window: Window) -> bool:
        """Whether no backward has used anything of the call, which is more than a view."""
        if number in self.used or window.last in self.used_calls:
            return False
        return getattr(window.function, "__name__", "") not in _VIEWS

    def drop(self, number: int, keep: bool) -> None:
        """A backward has used the node: its window goes, or stays and is marked."""
        window = self.windows.get(number) if keep else self.windows.pop(number, None)
        if window is None:
            return
        if keep:
            self.used.add(number)
        else:
            self.used.discard(number)
        if window.last != number or self.windows.get(number - 1) is window:
            self.used_calls.add(window.last)

    def drop_all(self, numbers: Sequence[int]) -> None:
        """Like ``drop``, for all nodes of a graph that is not kept."""
        windows = self.windows
        dropped = list(map(windows.pop, numbers, repeat(None)))
        if self.used:
            self.used.difference_update(numbers)
        if not windows:  # of no call anything is left that could count as unused
            return
        for number, window in zip(numbers, dropped, strict=True):
            if window is not None and (window.last != number or windows.get(number - 1) is window):
                self.used_calls.add(window.last)


class _Local(threading.local):
    """What a thread knows of its own: its record, listed when it first asks for it."""

    def __init__(self, records: list[ThreadRecord], lock: threading.Lock) -> None:
        self.record = ThreadRecord()
        with lock:
            records.append(self.record)


class Windows:
    """The windows of every thread."""

    def __init__(self) -> None:
        self.unused = 0  # calls dropped without a backward
        self._records: list[ThreadRecord] = []
        self._local = _Local(self._records, threading.Lock())

    @property
    def here(self) -> ThreadRecord:
        """This thread's windows."""
        return self._local.record

    def of(self, numbers: Sequence[int], ops: Sequence[str]) -> list[Window | None]:
        """The windows that made the nodes of one graph; None where not known.

        Args:
            numbers: Sequence numbers of the nodes.
            ops: Their names.
        """
        records = self._likely(numbers, ops)
        if len(records) == 1:
            return list(map(records[0].windows.get, numbers))
        chosen = (_maker(records, number, op) for number, op in zip(numbers, ops, strict=True))
        return [
            record.windows.get(number) if record is not None else None
            for number, record in zip(numbers, chosen, strict=True)
        ]

    def used_by(self, numbers: Sequence[int], ops: Sequence[str], keep: bool) -> None:
        """A backward has used these nodes: drops their windows, or marks them as used."""
        records = self._likely(numbers, ops)
        if len(records) == 1 and not keep:
            records[0].drop_all(numbers)
            return
        for number, op in zip(numbers, ops, strict=True):
            record = _maker(records, number, op)
            if record is not None:
                record.drop(number, keep)

    def mark_used(self) -> None:
        """A backward has used more than could be walked: nothing here counts as unused."""
        record = self.here
        record.used.update(record.windows)

    def never_used(self, number: int) -> bool:
        """Whether the node, made in this thread, has a window and no backward has used it."""
        return number in self.here.windows and number not in self.here.used

    def count_unused(self) -> int:
        """Torch calls that built graph which no backward used."""
        left = {
            (i, window.last)
            for i, record in enumerate(list(self._records))
            for number, window in list(record.windows.items())
            if record.is_unused(number, window)
        }
        return self.unused + len(left)

    def age(self, counter: int) -> list[Window]:
        """After a backward: drops windows no graph will ask for again, and returns them.

        A window goes when it is older than the last ``KEPT_BACKWARDS`` backwards and there are
        many, or when there are too many altogether.
        """
        record = self.here
        record.touched = 0
        record.marks.append(counter)
        dropped = []
        while len(record.windows) > MANY_WINDOWS:
            number = next(iter(record.windows))
            if number >= record.marks[0] and len(record.windows) <= MAX_WINDOWS:
                break
            window = record.windows.pop(number)
            dropped.append(window)
            if number == window.last and record.is_unused(number, window):
                self.unused += 1
            record.used.discard(number)
        if not record.windows:
            record.used_calls.clear()
        return dropped

    def clear(self) -> None:
        """Forgets everything."""
        for record in self._records:
            record.windows.clear()

    def _likely(self, numbers: Sequence[int], ops: Sequence[str]) -> list[ThreadRecord]:
        """The records to look in, first the one that fits best: threads count independently."""
        here = self.here
        if len(self._records) == 1:
            return [here]
        others = [r for r in self._records if r is not here and r.windows]
        if not others:
            return [here]
        records = [here, *others]
        fits = [
            sum(_fits(r.windows.get(n), op) for n, op in zip(numbers, ops, strict=True))
            for r in records
        ]
        order = sorted(range(len(records)), key=lambda i: -fits[i])
        return [records[i] for i in order]


def _maker(records: list[ThreadRecord], number: int, op: str) -> ThreadRecord | None:
    """In whose thread a node was made: the first that knows it, unless another fits better."""
    knowing = [record for record in records if number in record.windows]
    if len(knowing) > 1:
        fitting = [record for record in knowing if _fits(record.windows[number], op) > 1]
        return (fitting or knowing)[0]
    return knowing[0] if knowing else None


def _fits(window: Window | None, op: str) -> int:
    """0: made by none we know, 1: by some call, 2: by one of the same name (``mul_``, ``Mul``)."""
    if window is None:
        return 0
    name = getattr(window.function, "__name__", "").replace("_", "")
    return 2 if name and op.lower().startswith(name) else 1
