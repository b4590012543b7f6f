"""Marks for torch.compile: frames of ours that dynamo must run as they are, not compile.

They are met where compiled code falls back to Python with dynamo still listening, as at a
``loss.backward()`` inside a compiled function. The marks sit on code objects and cost nothing.
Printed tracebacks ask, too, which frames are only on the way to what the program called.
"""

from __future__ import annotations

from collections.abc import Callable
from types import CodeType
from typing import Any, TypeVar

try:
    from torch._C._dynamo.eval_frame import (
        _FrameAction,
        _FrameExecStrategy,
        set_code_exec_strategy,
    )
except ImportError:  # private, and gone
    set_code_exec_strategy = None  # type: ignore[assignment]

F = TypeVar("F", bound=Callable[..., Any])

_ways: set[CodeType] = set()


def own_work(function: F) -> F:
    """This function and all that it calls is ours."""
    return _mark(function, whole=True)


def way_through(function: F) -> F:
    """This function is ours; what it calls is not."""
    _ways.add(function.__code__)
    return _mark(function, whole=False)


def is_way_through(code: CodeType) -> bool:
    """Whether a function of ours with this code is such a one."""
    return code in _ways


def _mark(function: F, whole: bool) -> F:
    code = getattr(function, "__code__", None)
    if set_code_exec_strategy is not None and code is not None:
        inner = _FrameAction.SKIP if whole else _FrameAction.DEFAULT
        set_code_exec_strategy(code, _FrameExecStrategy(_FrameAction.SKIP, inner))
    return function
