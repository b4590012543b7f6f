"""Own tensor work that the user's program must not notice."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable

import torch
from torch._functorch.pyfunctorch import temporarily_clear_interpreter_stack
from torch.utils._python_dispatch import _disable_current_modes

tracing: Callable[[], bool] = torch._C._is_tracing
transforms_active: Callable[[], bool] = torch._C._are_functorch_transforms_active


class quiet:
    """No graph, no function or dispatch mode of the user's, no ``vmap``, no ``jit.trace``."""

    __slots__ = ("_functions", "_grad", "_modes", "_outside", "_tracing")

    def __enter__(self) -> None:
        self._functions = torch._C.DisableTorchFunction()
        self._functions.__enter__()
        self._grad = torch.is_grad_enabled()
        torch._C._set_grad_enabled(False)
        self._modes = None
        if torch._C._len_torch_dispatch_stack():
            self._modes = _disable_current_modes()
            self._modes.__enter__()
        self._outside = None
        if transforms_active():
            self._outside = outside_transforms()
            self._outside.__enter__()
        self._tracing = None
        if tracing():
            self._tracing = torch._C._get_tracing_state()
            torch._C._set_tracing_state(None)  # type: ignore[attr-defined]

    def __exit__(self, *exc: object) -> None:
        if self._tracing is not None:
            torch._C._set_tracing_state(self._tracing)  # type: ignore[attr-defined]
        if self._outside is not None:
            self._outside.__exit__()
        if self._modes is not None:
            self._modes.__exit__(None, None, None)
        torch._C._set_grad_enabled(self._grad)
        self._functions.__exit__(None, None, None)


class outside_transforms:
    """Leaves ``torch.func``'s transforms, which would wrap the results of own tensor work."""

    __slots__ = ("_cleared",)

    def __enter__(self) -> None:
        self._cleared = temporarily_clear_interpreter_stack()
        self._cleared.__enter__()

    def __exit__(self, *exc: object) -> None:
        self._cleared.__exit__(None, None, None)


class no_collection:
    """Holds back the garbage collector while many small objects are made that will stay.

    Python would otherwise scan every object of the user's again and again for nothing. Threads
    share the collector: the last to leave restores it.
    """

    __slots__ = ("_holds",)
    _lock = threading.Lock()
    _inside = 0
    _was_enabled = False

    def __init__(self) -> None:
        self._holds = False

    def __enter__(self) -> None:
        cls = no_collection
        with cls._lock:
            self._holds = True
            if cls._inside == 0:
                cls._was_enabled = gc.isenabled()
                gc.disable()
            cls._inside += 1

    def __exit__(self, *exc: object) -> None:
        self.release()

    def release(self) -> None:
        """Lets go; a second time does nothing."""
        cls = no_collection
        with cls._lock:
            if not self._holds:
                return
            self._holds = False
            cls._inside -= 1
            if cls._inside == 0 and cls._was_enabled:
                gc.enable()
