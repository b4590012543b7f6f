"""Own work that the user's program must not notice.

NOTE [Interrupts]
Ctrl-C, or whatever a signal handler of the user's raises, may come between any two of our bytecodes
and cut off even an ``__exit__``. So a ``quiet`` that is open is known to its thread, every way into
the capture ends with ``recover``, and what is not ours is raised again.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from contextlib import AbstractContextManager
from threading import get_ident
from typing import Any

import torch
from torch import is_grad_enabled
from torch._functorch.pyfunctorch import temporarily_clear_interpreter_stack
from torch.utils._python_dispatch import _disable_current_modes

from gradscope.capture.source import UserCode

NO_FUNCTIONS = torch._C.DisableTorchFunction
tracing: Callable[[], bool] = torch._C._is_tracing
dispatch_modes: Callable[[], int] = torch._C._len_torch_dispatch_stack
transforms_active: Callable[[], bool] = torch._C._are_functorch_transforms_active
_any_autocast: Callable[[], bool] = torch._C._is_any_autocast_enabled
_set_grad_enabled: Callable[[bool], None] = torch._C._set_grad_enabled

_open: dict[int, quiet] = {}  # the innermost of each thread
_without_collector: set[int] = set()  # threads that hold it back
_anybody = UserCode()


class quiet:
    """No graph, function or dispatch mode of the user's, ``vmap``, ``autocast``, ``jit.trace``."""

    _around: quiet | None = None
    _autocast: Any = None
    _functions: Any = None
    _grad: bool | None = None
    _modes: AbstractContextManager[Any] | None = None
    _outside: outside_transforms | None = None
    _tracing: Any = None
    _unusual = False  # whether there was more than functions and gradients to switch off

    def __enter__(self) -> None:
        here = get_ident()
        self._around = _open.get(here)
        _open[here] = self
        self._functions = functions = NO_FUNCTIONS()
        functions.__enter__()
        self._grad = is_grad_enabled()
        _set_grad_enabled(False)
        if _any_autocast() or dispatch_modes() or transforms_active() or tracing():
            self._enter_unusual()

    def _enter_unusual(self) -> None:
        self._unusual = True
        if _any_autocast():
            self._autocast = torch._C._DisableAutocast()
            self._autocast.__enter__()
        if dispatch_modes():
            self._modes = _disable_current_modes()
            self._modes.__enter__()
        if transforms_active():
            self._outside = outside_transforms()
            self._outside.__enter__()
        if tracing():
            self._tracing = torch._C._get_tracing_state()
            torch._C._set_tracing_state(None)  # type: ignore[attr-defined]

    def __exit__(self, *exc: object) -> None:
        here = get_ident()
        inner = _open.get(here)
        while inner is not None and inner is not self:  # an interrupt cut off its end
            inner._restore()
            inner = inner._around
        self._restore()
        if self._around is not None:
            _open[here] = self._around
        else:
            _open.pop(here, None)

    def _restore(self) -> None:
        """Undoes what was done, once; may be called again where it was cut off."""
        if self._unusual:
            self._restore_unusual()
        if self._grad is not None:
            _set_grad_enabled(self._grad)
            self._grad = None
        if self._functions is not None:
            self._functions.__exit__(None, None, None)
            self._functions = None

    def _restore_unusual(self) -> None:
        if self._tracing is not None:
            torch._C._set_tracing_state(self._tracing)  # type: ignore[attr-defined]
            self._tracing = None
        if self._outside is not None:
            self._outside.__exit__()
            self._outside = None
        if self._modes is not None:
            self._modes.__exit__(None, None, None)
            self._modes = None
        if self._autocast is not None:
            self._autocast.__exit__(None, None, None)
            self._autocast = None
        self._unusual = False


def grad_enabled() -> bool:
    """Whether the user's program records a graph in this thread, inside ``quiet`` as well."""
    before = None
    opened = _open.get(get_ident())
    while opened is not None:
        before = opened._grad
        opened = opened._around
    return is_grad_enabled() if before is None else before


def recover(error: BaseException) -> None:
    """At the way out of the capture: closes what was cut off, and lets pass what is not ours."""
    opened = _open.pop(get_ident(), None)
    while opened is not None:
        opened._restore()
        opened = opened._around
    if get_ident() in _without_collector:
        _without_collector.discard(get_ident())
        gc.enable()
    let_pass(error)


def let_pass(error: BaseException) -> None:
    """Raises again what came from outside: interrupts, and what a signal handler raised.

    No code of the user's runs inside ours otherwise.
    """
    if not isinstance(error, Exception):
        raise error
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    try:
        theirs = trace is not None and _anybody.owns(trace.tb_frame.f_code)
    except Exception:  # it is the telling itself that fails
        return
    if theirs:
        raise error


class outside_transforms:
    """Leaves ``torch.func``'s transforms, which would wrap the results of own tensor work."""

    __slots__ = ("_cleared",)

    def __enter__(self) -> None:
        self._cleared = temporarily_clear_interpreter_stack()
        self._cleared.__enter__()

    def __exit__(self, *exc: object) -> None:
        self._cleared.__exit__(None, None, None)


class uncollected:
    """Holds back the garbage collector while own work makes and drops many objects."""

    __slots__ = ("_was_on",)

    def __enter__(self) -> None:
        self._was_on = gc.isenabled()
        if self._was_on:
            _without_collector.add(get_ident())
            gc.disable()

    def __exit__(self, *exc: object) -> None:
        if self._was_on:
            gc.enable()
            _without_collector.discard(get_ident())
