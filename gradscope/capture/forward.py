"""Torch functions as they run: which nodes each one made, from which line, with what result."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable, Iterable
from time import perf_counter_ns
from types import CodeType, FrameType, FunctionType
from typing import Any

import torch
from torch import Tensor
from torch._C import _len_torch_function_stack
from torch.nn.functional import linear
from torch.overrides import TorchFunctionMode, _pop_mode, _push_mode

from gradscope.capture.cuts import CUTTING, Cuts
from gradscope.capture.dynamo import own_work, way_through
from gradscope.capture.executions import Executions
from gradscope.capture.held import Ticket
from gradscope.capture.holders import Uses
from gradscope.capture.known import ALL_SEEN, GET_DATA, IN_PLACE, RUNS_ENGINE
from gradscope.capture.modules import ModuleTracker
from gradscope.capture.mutations import Mutations
from gradscope.capture.operands import ELEMENTWISE, broadcast_operands
from gradscope.capture.originals import FROM_C, TORCHS_OWN, original
from gradscope.capture.quiet import NO_FUNCTIONS, quiet, recover, tracing, transforms_active
from gradscope.capture.source import UserCode
from gradscope.capture.stack import SPACING
from gradscope.capture.stats import Collector
from gradscope.capture.switching import SET_GRAD
from gradscope.capture.windows import Result, Window, Windows

counter: Callable[[], int] = torch._C._autograd._get_sequence_nr
_saved_hooks: Callable[[bool], Any] = torch._C._autograd._top_saved_tensors_default_hooks
dispatch_modes: Callable[[], int] = torch._C._len_torch_dispatch_stack
MAX_OUTPUTS = 16


def _nothing() -> None:
    return None


class ForwardRecorder:
    """Records windows while ``recording``; installed as a torch function mode per thread."""

    def __init__(self, user: UserCode, modules: ModuleTracker, collector: Collector) -> None:
        self.recording = True
        self.values = True
        self.own_ns = 0
        self.failures = 0
        self.windows = Windows()
        self.uses = Uses()
        self.on_deep: Callable[[Any], None] = lambda node: None
        self.leaf_lines: dict[int, tuple[CodeType, int]] = {}
        self.cuts = Cuts(user, self.windows, collector)
        self.ungraphed = self.cuts.ungraphed
        self.mutations = Mutations(user)
        self._user = user
        self._modules = modules
        self._collector = collector
        self._executions = Executions()
        self._data: tuple[Callable[[], Any], Callable[[], Any]] = (_nothing, _nothing)

    def retire(self) -> None:
        """Records nothing more."""
        self.recording = False

    @own_work
    def called(self, function: Any, asking: FrameType) -> Any:
        """What was really called when the mode is told of ``function``; never raises."""
        try:
            return original(function, asking)
        except BaseException as error:
            recover(error)
            self.failures += 1
            return function

    @own_work
    def note(
        self,
        function: Any,
        before: int,
        after: int,
        out: object,
        arguments: Iterable[Any] = (),
        depth: int = 2,
    ) -> None:
        """Stores the window of a call that has just returned; never raises.

        Args:
            function: What was called.
            before: Counter before the call.
            after: Counter after it.
            out: What it returned.
            arguments: What it was called with.
            depth: Frames between this one and the caller of ``function``.
        """
        started = perf_counter_ns()
        try:
            with NO_FUNCTIONS() if not (dispatch_modes() or tracing()) else quiet():
                self._note(function, before, after, out, sys._getframe(depth), arguments)
                self.uses.note(arguments)
                if self.ungraphed.followed:
                    self.ungraphed.used(arguments, out)
        except BaseException as error:
            recover(error)
            self.failures += 1
        self.own_ns += perf_counter_ns() - started

    def _note(
        self,
        function: Any,
        before: int,
        after: int,
        out: object,
        caller: FrameType,
        arguments: Iterable[Any],
    ) -> None:
        record = self.windows.here
        frame = self._user.innermost(caller)
        call = self._modules.current
        last = after - 1
        window = Window(
            function,
            frame.f_code if frame is not None else None,
            frame.f_lasti if frame is not None else 0,
            call,
            self._executions.of(frame, caller, call, record),
            self._results(function, out, before, last),
            last,
            _saved_hooks(False) is not None,
            broadcast_operands(*arguments) if function in ELEMENTWISE else (),
        )
        if record.in_engine:  # made by hooks or recomputation, perhaps for nothing
            record.used.update(range(before, after))
        if before == last:
            record.windows[before] = window
        else:
            record.windows.update(dict.fromkeys(range(before, after), window))

    def note_engine(
        self, function: Any, before: int, after: int, place: tuple[CodeType | None, int] | None
    ) -> None:
        """Stores what the engine itself made under ``create_graph``; hooks' ops are known."""
        code, lasti = place or (None, 0)
        call, execution = self._modules.current, self._executions.new()
        window = Window(function, code, lasti, call, execution, (), after - 1)
        windows = self.windows.here.windows
        for number in range(before, after):
            windows.setdefault(number, window)

    def _results(self, function: Any, out: object, before: int, last: int) -> tuple[Result, ...]:
        if type(out) is Tensor and (
            before == last or (function is linear and not transforms_active())
        ):  # of most calls; what ``linear`` returns was made last
            if not out.requires_grad:
                return ()
            ticket = self._ticket(function, out) if self.values else None
            return ((last, out.output_nr, 0, ticket),)
        outs = out if isinstance(out, tuple | list) else (out,)
        found = []
        record = self.windows.here
        for position, tensor in enumerate(outs[:MAX_OUTPUTS]):
            if not isinstance(tensor, Tensor) or not tensor.requires_grad:
                continue
            made_by = before
            if before != last:
                node = tensor.grad_fn
                made_by = node._sequence_nr() if node is not None else -1
                record.touched += 1
                if record.touched % SPACING == 0 and node is not None:
                    self.on_deep(node)
            ticket = self._ticket(function, tensor) if self.values else None
            found.append((made_by, tensor.output_nr, position, ticket))
        return tuple(found)

    def _ticket(self, function: Any, tensor: Tensor) -> Ticket | None:
        """Has a result measured; a view of all of another tensor shows the numbers of that one."""
        if function in ALL_SEEN and tensor._is_view():
            base = tensor._base
            if base is not None and base.numel() == tensor.numel():
                return None
        return self._collector.hold(tensor)

    @own_work
    def before_change(self, tensor: object, depth: int = 1) -> None:
        """Before a tensor is changed in place; never raises.

        Of a leaf, also behind the last ``.data``, the user's line is remembered.
        """
        try:
            if isinstance(tensor, Tensor):
                with NO_FUNCTIONS():
                    self._before_change(tensor, sys._getframe(depth))
        except BaseException as error:
            recover(error)
            self.failures += 1

    def _before_change(self, tensor: Tensor, frame: FrameType) -> None:
        if tensor.requires_grad and not tensor.is_leaf:
            return
        data, leaf = self._data
        changed = tensor if tensor.requires_grad else leaf() if data() is tensor else None
        user = self._user.innermost(frame) if changed is not None else None
        if user is not None:
            self.leaf_lines[id(changed)] = (user.f_code, user.f_lasti)

    @own_work
    def got_data(self, tensor: object, data: object) -> None:
        """Remembers what ``tensor.data`` gave: changing it changes the tensor, unseen."""
        if isinstance(tensor, Tensor) and isinstance(data, Tensor):
            self._data = (weakref.ref(data), weakref.ref(tensor))


class ForwardMode(TorchFunctionMode):
    """Sees every torch function of one thread."""

    def __init__(self, recorder: ForwardRecorder) -> None:
        super().__init__()
        self.recorder = recorder

    def __enter__(self) -> ForwardMode:
        self._settle(self, None)
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    @own_work
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
        self._settle(None, self)

    def _settle(self, mode: ForwardMode | None, instead_of: ForwardMode | None) -> None:
        """Notes whether this thread is to be seen."""
        try:
            here = self.recorder.windows.here
            if here.mode is instead_of:
                here.mode = mode
        except BaseException as error:
            recover(error)
            self.recorder.failures += 1

    @way_through
    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Runs ``func`` unchanged and notes it when it made nodes."""
        recorder = self.recorder
        kind = type(func)
        if kind not in FROM_C and (kind is not FunctionType or func not in TORCHS_OWN):
            func = recorder.called(func, sys._getframe(1))
        if not recorder.recording:
            return func(*args, **kwargs) if kwargs else func(*args)
        if args and (func in IN_PLACE or (kwargs and kwargs.get("inplace"))):
            if func == SET_GRAD:
                recorder.cuts.switches(args[0])
                return func(*args)
            recorder.before_change(args[0])
            if func == GET_DATA:
                out = func(*args)
                recorder.got_data(args[0], out)
                recorder.cuts.saw(func, args, out)
                return out
            recorder.mutations.before(func, args[0])
        before = counter()
        out = func(*args, **kwargs) if kwargs else func(*args)
        after = counter()
        if after != before and func not in RUNS_ENGINE:
            given = (*args, *kwargs.values()) if kwargs else args
            recorder.note(func, before, after, out, given)
        elif func in CUTTING or (args and recorder.cuts.wants(args)):
            recorder.cuts.saw(func, args, out)
        return out
