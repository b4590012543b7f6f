"""Own tensor work that the user's program must not notice."""

from __future__ import annotations

import gc

import torch
from torch.utils._python_dispatch import _disable_current_modes


class quiet:
    """No graph, no torch function mode, no dispatch mode of the user's (checkpoint uses one)."""

    __slots__ = ("_functions", "_grad", "_modes")

    def __enter__(self) -> None:
        self._functions = torch._C.DisableTorchFunction()
        self._functions.__enter__()
        self._grad = torch.is_grad_enabled()
        torch._C._set_grad_enabled(False)
        self._modes = None
        if torch._C._len_torch_dispatch_stack():
            self._modes = _disable_current_modes()
            self._modes.__enter__()

    def __exit__(self, *exc: object) -> None:
        if self._modes is not None:
            self._modes.__exit__(None, None, None)
        torch._C._set_grad_enabled(self._grad)
        self._functions.__exit__(None, None, None)


class no_collection:
    """Holds back the garbage collector while many small objects are made that will stay.

    Python would otherwise scan every object of the user's again and again for nothing.
    """

    __slots__ = ("_was_enabled",)

    def __enter__(self) -> None:
        self._was_enabled = gc.isenabled()
        gc.disable()

    def __exit__(self, *exc: object) -> None:
        if self._was_enabled:
            gc.enable()
