"""Torch functions as they run: which nodes each one made, from which line, with what result.

NOTE [Windows]
Autograd numbers the nodes it creates with a counter per thread. Read before and after a torch
function, it brackets all nodes that the call made, inner ones included. Reading ``grad_fn`` would
tell as much but creates a Python wrapper per node, which is slow and makes deep graphs dangerous
to free; so it is read only where one call made several nodes.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable
from time import perf_counter_ns
from types import CodeType
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch._C import _len_torch_function_stack
from torch.overrides import TorchFunctionMode, _pop_mode, _push_mode

from gradscope.capture.modules import ModuleCall, ModuleTracker
from gradscope.capture.quiet import quiet
from gradscope.capture.source import UserCode
from gradscope.capture.stats import Collector

counter: Callable[[], int] = torch._C._autograd._get_sequence_nr
NO_FUNCTIONS = torch._C.DisableTorchFunction
dispatch_modes: Callable[[], int] = torch._C._len_torch_dispatch_stack
MAX_WINDOWS = 400_000
MANY_WINDOWS = 20_000
KEPT_BACKWARDS = 8
MAX_OUTPUTS = 16


class Window(NamedTuple):
    """One torch call that made nodes.

    ``results`` holds ``(sequence number, output_nr, position in the result, ticket)``.
    """

    function: Any
    code: CodeType | None
    lasti: int
    call: ModuleCall | None
    execution: int
    results: tuple[tuple[int, int, int, int], ...]
    last: int  # sequence number of the last node made


class ThreadRecord:
    """The windows of one thread by sequence number of the nodes they made."""

    def __init__(self) -> None:
        self.windows: dict[int, Window] = {}
        self.touched = 0  # grad_fn wrappers made since the last backward
        self.used: set[int] = set()  # of the windows kept because the graph was retained
        self.marks: deque[int] = deque(maxlen=KEPT_BACKWARDS)  # counter after each backward


class ForwardRecorder:
    """Records windows while ``recording``; installed as a torch function mode per thread."""

    def __init__(self, user: UserCode, modules: ModuleTracker, collector: Collector) -> None:
        self.recording = True
        self.values = True
        self.own_ns = 0
        self.failures = 0
        self.unused = 0  # windows dropped without a backward
        self.on_deep: Callable[[], None] = lambda: None
        self.leaf_lines: dict[int, tuple[CodeType, int]] = {}
        self._user = user
        self._modules = modules
        self._collector = collector
        self._local = threading.local()
        self._lock = threading.Lock()
        self._executions = 0
        self.records: list[ThreadRecord] = []

    @property
    def record(self) -> ThreadRecord:
        """This thread's windows."""
        record: ThreadRecord | None = getattr(self._local, "record", None)
        if record is None:
            record = self._local.record = ThreadRecord()
            with self._lock:
                self.records.append(record)
        return record

    def note(self, function: Any, before: int, after: int, out: object, depth: int = 2) -> None:
        """Stores the window of a call that has just returned; never raises.

        Args:
            function: What was called.
            before: Counter before the call.
            after: Counter after it.
            out: What it returned.
            depth: Frames between this one and the caller of ``function``.
        """
        started = perf_counter_ns()
        try:
            with NO_FUNCTIONS() if not dispatch_modes() else quiet():
                self._note(function, before, after, out, depth)
        except Exception:
            self.failures += 1
        self.own_ns += perf_counter_ns() - started

    def _note(self, function: Any, before: int, after: int, out: object, depth: int) -> None:
        record = self.record
        caller = sys._getframe(depth + 1)
        frame = self._user.innermost(caller)
        call = self._modules.current
        results = self._results(out, before, after, record)
        code, lasti = (frame.f_code, frame.f_lasti) if frame is not None else (None, 0)
        window = Window(
            function, code, lasti, call, self._execution(frame is caller, call), results, after - 1
        )
        if after - before == 1:
            record.windows[before] = window
        else:
            record.windows.update(dict.fromkeys(range(before, after), window))

    def _execution(self, direct: bool, call: ModuleCall | None) -> int:
        """What tells two runs of the same place apart: negative where no module call does."""
        if not direct and call is not None:
            return call.execution
        self._executions -= 1
        return self._executions

    def _results(
        self, out: object, before: int, after: int, record: ThreadRecord
    ) -> tuple[tuple[int, int, int, int], ...]:
        outs = out if isinstance(out, tuple | list) else (out,)
        found = []
        for position, tensor in enumerate(outs[:MAX_OUTPUTS]):
            if not isinstance(tensor, Tensor) or not tensor.requires_grad:
                continue
            made_by = before
            if after - before > 1:
                node = tensor.grad_fn
                made_by = node._sequence_nr() if node is not None else -1
                self._touch(record)
            ticket = self._collector.add(tensor) if self.values else -1
            found.append((made_by, tensor.output_nr, position, ticket))
        return tuple(found)

    def _touch(self, record: ThreadRecord) -> None:
        record.touched += 1
        if record.touched == 10_000:
            self.on_deep()

    def note_leaf_change(self, tensor: object) -> None:
        """Remembers the line that changes a leaf in place."""
        if isinstance(tensor, Tensor) and tensor.is_leaf and tensor.requires_grad:
            frame = self._user.innermost(sys._getframe(2))
            if frame is not None:
                self.leaf_lines[id(tensor)] = (frame.f_code, frame.f_lasti)

    def settle_before_change(self, tensor: object) -> None:
        """Measures what waits before a result of the graph is changed in place."""
        if isinstance(tensor, Tensor) and tensor.requires_grad and not tensor.is_leaf:
            with torch.no_grad():
                self._collector.flush()

    def window(self, number: int) -> Window | None:
        """The window that made a node, looked for in this thread first."""
        here = self.record
        found = here.windows.get(number)
        if found is None:
            others = (r.windows.get(number) for r in self.records if r is not here)
            found = next((w for w in others if w is not None), None)
        return found

    def used_by(self, numbers: Iterable[int], keep: bool) -> None:
        """A backward has used these nodes: drops their windows, or marks them as used."""
        record = self.record
        if keep:
            record.used.update(numbers)
            return
        for number in numbers:
            record.windows.pop(number, None)
        record.used.difference_update(numbers)

    def never_used(self, number: int) -> bool:
        """Whether the node has a window and no backward has used it."""
        return number in self.record.windows and number not in self.record.used

    def count_unused(self) -> int:
        """Torch calls that built graph which no backward used."""
        left = {
            window.last
            for record in self.records
            for number, window in record.windows.items()
            if number not in record.used
        }
        return self.unused + len(left)

    def age(self) -> list[Window]:
        """After a backward: drops windows no graph will ask for again, and returns them.

        A window goes when it is older than the last ``KEPT_BACKWARDS`` backwards and there are
        many, or when there are too many altogether.
        """
        record = self.record
        record.touched = 0
        record.marks.append(counter())
        dropped = []
        while len(record.windows) > MANY_WINDOWS:
            number = next(iter(record.windows))
            if number >= record.marks[0] and len(record.windows) <= MAX_WINDOWS:
                break
            dropped.append(record.windows.pop(number))
            if number not in record.used:
                self.unused += 1
            record.used.discard(number)
        return dropped


def _in_place_functions() -> frozenset[Any]:
    names = [n for n in dir(Tensor) if n.endswith("_") and not n.endswith("__")]
    names += [n for n in dir(Tensor) if n.startswith("__i") and n != "__init__"]
    found = {getattr(Tensor, name, None) for name in names}
    found.update((torch.nn.functional.relu_, torch.relu_, Tensor.__setitem__))
    return frozenset(f for f in found if callable(f) and f is not Tensor.__init_subclass__)


_IN_PLACE = _in_place_functions()


class ForwardMode(TorchFunctionMode):
    """Sees every torch function of one thread."""

    def __init__(self, recorder: ForwardRecorder) -> None:
        super().__init__()
        self._recorder = recorder

    def __exit__(self, *_exc: object) -> None:
        """Takes this mode off the stack, wherever it is, and leaves the others as they are."""
        above = []
        while _len_torch_function_stack():
            mode = _pop_mode()
            if mode is self:
                break
            above.append(mode)
        for mode in reversed(above):
            _push_mode(mode)

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Runs ``func`` unchanged and notes it when it made nodes."""
        recorder = self._recorder
        if not recorder.recording:
            return func(*args, **kwargs) if kwargs else func(*args)
        if args and (func in _IN_PLACE or (kwargs and kwargs.get("inplace"))):
            if torch.is_grad_enabled():
                recorder.settle_before_change(args[0])
            else:
                recorder.note_leaf_change(args[0])
        before = counter()
        out = func(*args, **kwargs) if kwargs else func(*args)
        after = counter()
        if after != before:
            recorder.note(func, before, after, out)
        return out
