"""Keeps torch.compile from seeing the capture, and the capture from looking into it.

NOTE [Compiled code]
Dynamo traces whatever torch function mode or global module hook is active, and guards on it: with
ours in place it would break graphs and compile again. So both are taken off while a callback of
dynamo's is set, and put back for code that runs with none, such as the graphs it produced. What is
compiled is seen as the calls that it makes, not as the modules inside. The patched names are
private: where they are missing, nothing is taken off.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import torch
from torch import nn
from torch.overrides import _get_current_function_mode_stack, _pop_mode, _push_mode

from gradscope.capture.dynamo import own_work, way_through
from gradscope.capture.forward import ForwardMode, ForwardRecorder
from gradscope.capture.modules import ModuleTracker
from gradscope.capture.quiet import recover

_MODULE = "torch._dynamo.eval_frame"
_SWITCH = "_maybe_set_eval_frame"


class CompiledCalls:
    """Takes the capture off around compiled code while installed.

    Attributes:
        failures: Times that it could not be taken off or put back.
    """

    def __init__(self, recorder: ForwardRecorder, modules: ModuleTracker) -> None:
        self.failures = 0
        self._recorder = recorder
        self._modules = modules
        self._active = True
        self._installed = False
        self._undo = ExitStack()

    def install(self, undo: ExitStack) -> None:
        """Patches dynamo now if it is loaded, else when ``torch.compile`` is first called."""
        self._undo = undo
        undo.callback(self._retire)
        self.look()
        if not self._installed:
            self._replace(torch, "compile", self._loading(torch.compile))

    @own_work
    def look(self) -> None:
        """Patches dynamo if it has been loaded since."""
        dynamo = sys.modules.get(_MODULE)
        switch = getattr(dynamo, _SWITCH, None)
        if self._installed or switch is None:
            return
        self._installed = True
        self._replace(dynamo, _SWITCH, self._switching(switch))
        optimized = getattr(dynamo, "OptimizedModule", None)
        if optimized is not None:
            self._replace(optimized, "__call__", self._calling(optimized.__call__))

    def _retire(self) -> None:
        self._active = False

    def _replace(self, owner: Any, name: str, wrapped: Any) -> None:
        original = getattr(owner, name)
        self._undo.callback(_put_back, owner, name, wrapped, original)
        setattr(owner, name, wrapped)

    def _loading(self, compile_: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(compile_)
        @way_through
        def compile_and_look(*args: Any, **kwargs: Any) -> Any:
            compiled = compile_(*args, **kwargs)
            if self._active:
                self.look()
            return compiled

        return compile_and_look

    def _switching(self, switch: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """Wraps what sets dynamo's callback for this thread; None means plain Python."""

        @functools.wraps(switch)
        @way_through
        def set_callback(callback: Any) -> Any:
            # Once the callback is set, every new frame is dynamo's: no call may follow.
            if callback is not None:
                if self._active:
                    self._take_off()
                return switch(callback)
            before = switch(None)
            if self._active:
                self._put_on()
            return before

        return set_callback

    def _calling(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """Wraps the call of a compiled module: no hooks of ours, but known as a module's call."""

        @functools.wraps(call)
        @way_through
        def call_optimized(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
            if not self._active or torch.compiler.is_compiling():
                return call(module, *args, **kwargs)
            with self._modules.around(getattr(module, "_orig_mod", module)):
                return call(module, *args, **kwargs)

        return call_optimized

    @own_work
    def _take_off(self) -> None:
        try:
            record = self._recorder.windows.here
            if record.held is None:
                record.held = take_off(self._recorder)
                self._modules.detach()
        except BaseException as error:
            recover(error)
            self.failures += 1

    @own_work
    def _put_on(self) -> None:
        try:
            record = self._recorder.windows.here
            if record.held is None or torch._guards.CompileContext.try_get() is not None:
                return
            held, record.held = record.held, None
            self._modules.attach()
            for position, mode in held:
                _insert(position, mode)
        except BaseException as error:
            recover(error)
            self.failures += 1


def take_off(recorder: ForwardRecorder) -> list[tuple[int, ForwardMode]]:
    """Removes our modes from this thread's stack; returns them with their places, lowest first."""
    found = [
        (i, mode)
        for i, mode in enumerate(_get_current_function_mode_stack())
        if isinstance(mode, ForwardMode) and mode.recorder is recorder
    ]
    for _, mode in found:
        mode.__exit__(None, None, None)
    return found


def _insert(position: int, mode: ForwardMode) -> None:
    above = []
    while len(_get_current_function_mode_stack()) > position:
        above.append(_pop_mode())
    _push_mode(mode)
    for other in reversed(above):
        _push_mode(other)


def _put_back(owner: Any, name: str, wrapped: object, original: object) -> None:
    if getattr(owner, name, None) is wrapped:
        setattr(owner, name, original)
