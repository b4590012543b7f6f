"""Exceptions of a ``forward`` that gradscope called, raised as from torch's call of the module."""

from __future__ import annotations

from types import MethodType
from typing import Any

from torch import nn

from gradscope.capture.dynamo import way_through


@way_through
def raise_in_call(error: BaseException) -> None:
    """Raises ``error`` again from inside ``Module.__call__``; its traceback is the usual one then.

    Returns where that did not succeed.
    """
    stand_in: Any = _Raising(error)
    try:
        nn.Module.__call__(stand_in)
    except BaseException as raised:
        if raised is error:
            raise


class _Raising:
    """What ``Module.__call__`` takes for a module without hooks."""

    def __init__(self, error: BaseException) -> None:
        self._compiled_call_impl = self.forward = self._slow_forward = None
        self._call_impl = MethodType(nn.Module._call_impl, self)
        none: dict[int, Any] = {}
        self._backward_hooks = self._backward_pre_hooks = self._forward_hooks = none
        self._forward_pre_hooks = _RaisingHooks(error)  # asked for last


class _RaisingHooks:
    """No hooks, which cannot be gone through."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __len__(self) -> int:
        return 0

    @way_through
    def items(self) -> None:
        """Raises the error."""
        raise self._error
