"""Lets torch's own optimizers work without our torch function mode, which has nothing to see there.

An optimizer calls dozens of torch functions even on a small model, to step and to clear gradients,
and each would pass the mode. It is taken off only where nothing of the user's runs inside and it is
on top of the stack, and put back where it was. Should a step raise, it is put back when the capture
next has its turn.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import torch
from torch import nn
from torch._C import (
    _get_function_stack_at,
    _len_torch_function_stack,
    _pop_torch_function_stack,
    _push_on_torch_function_stack,
)
from torch.autograd.profiler import record_function
from torch.optim import Optimizer
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from gradscope.capture.dynamo import own_work, way_through
from gradscope.capture.forward import ForwardMode, ForwardRecorder
from gradscope.capture.patching import replace
from gradscope.capture.quiet import recover


class Pause:
    """Takes the mode off while optimizers step and clear gradients, while installed.

    Attributes:
        failures: Times that it could not be taken off or put back.
    """

    def __init__(self, recorder: ForwardRecorder) -> None:
        self.failures = 0
        self._recorder = recorder
        self._active = True

    def install(self, undo: ExitStack) -> None:
        """Registers the global optimizer hooks; ``undo`` removes them."""
        undo.callback(self._retire)
        replace(undo, Optimizer, "zero_grad", self._around)
        replace(undo, nn.Module, "zero_grad", self._around)
        replace(undo, record_function, "__enter__", self._past)
        replace(undo, record_function, "__exit__", self._past)
        undo.callback(register_optimizer_step_pre_hook(self._before).remove)
        undo.callback(register_optimizer_step_post_hook(self._after).remove)

    def _retire(self) -> None:
        self._active = False
        self.put_back()

    def _around(self, zero_grad: Callable[..., None]) -> Callable[..., None]:
        """Wraps ``zero_grad``; nothing of the user's runs inside torch's own."""

        @functools.wraps(zero_grad)
        @way_through
        def cleared(*args: Any, **kwargs: Any) -> None:
            if not self._active or torch.compiler.is_compiling():
                zero_grad(*args, **kwargs)
                return
            self._guarded(self._take_off)
            try:
                zero_grad(*args, **kwargs)
            finally:
                self._guarded(self.put_back)

        return cleared

    def _past(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Wraps what marks a range for profilers, around every step: it makes no node."""

        @functools.wraps(original)
        @way_through
        def marked(*args: Any) -> Any:
            depth = _len_torch_function_stack()
            mode = _get_function_stack_at(depth - 1) if depth else None
            if type(mode) is not ForwardMode or not self._active:
                return original(*args)
            _pop_torch_function_stack()
            try:
                return original(*args)
            finally:
                _push_on_torch_function_stack(mode)

        return marked

    def put_back(self) -> None:
        """Puts the mode back if it is off and the stack is as it was."""
        record = self._recorder.windows.here
        if record.paused is None:
            return
        below, mode = record.paused
        if _len_torch_function_stack() != below:
            record.paused = None
            return
        record.paused = None  # an interrupt comes after a call, so not between these two lines
        _push_on_torch_function_stack(mode)

    def _before(self, optimizer: Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        try:
            if len(args) <= 1 and not kwargs and _is_torchs_own(optimizer):
                self._take_off()
            else:
                self.put_back()
        except BaseException as error:
            recover(error)
            self.failures += 1

    def _after(self, _optimizer: Optimizer, _args: object, _kwargs: object) -> None:
        try:
            self.put_back()
        except BaseException as error:
            recover(error)
            self.failures += 1

    @own_work
    def _guarded(self, part: Callable[[], None]) -> None:
        try:
            part()
        except BaseException as error:
            recover(error)
            self.failures += 1

    def _find_lost(self) -> None:
        """Puts the mode back where an interrupt came while torch had it off for a call."""
        record = self._recorder.windows.here
        if record.mode is None or record.held is not None:
            return
        stack = (_get_function_stack_at(i) for i in range(_len_torch_function_stack()))
        if not any(isinstance(m, ForwardMode) and m.recorder is self._recorder for m in stack):
            _push_on_torch_function_stack(record.mode)

    def _take_off(self) -> None:
        self.put_back()
        if not self._take_top():
            self._find_lost()
            self._take_top()

    def _take_top(self) -> bool:
        """Takes the mode off if it is on top."""
        depth = _len_torch_function_stack()
        mode = _get_function_stack_at(depth - 1) if depth else None
        if not isinstance(mode, ForwardMode) or mode.recorder is not self._recorder:
            return False
        self._recorder.windows.here.paused = (depth - 1, mode)
        _pop_torch_function_stack()
        return True


def _is_torchs_own(optimizer: Optimizer) -> bool:
    """Whether the step runs no code of the user's and makes no graph."""
    return (
        type(optimizer).__module__.startswith("torch.optim.")
        and not optimizer._optimizer_step_pre_hooks
        and not optimizer._optimizer_step_post_hooks
        and not any(group.get("differentiable") for group in optimizer.param_groups)
        and not torch.compiler.is_compiling()
    )
