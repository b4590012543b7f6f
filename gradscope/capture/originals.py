"""What torch is about where the program has put a function of its own into torch's place.

NOTE [Replaced functions]
A torch function written in Python tells a mode what was called by looking its own name up:
``F.relu`` says ``relu``. Where the program has put a wrapper there, which calls the original, the
mode is told of the wrapper, and calling that would run it a second time. The function that was
really called is the one whose frame asks for the mode.
"""

from __future__ import annotations

import gc
import os
from types import (
    BuiltinFunctionType,
    CodeType,
    FrameType,
    FunctionType,
    MethodDescriptorType,
    MethodWrapperType,
    WrapperDescriptorType,
)
from typing import Any

import torch
from torch.overrides import handle_torch_function

# Those that C code calls the mode for: it knows them, and asks for no name.
FROM_C = frozenset(
    {BuiltinFunctionType, MethodDescriptorType, MethodWrapperType, WrapperDescriptorType}
)
MAX_KNOWN = 10_000
_TORCH = os.path.dirname(os.path.abspath(torch.__file__)) + os.sep
_ASKS = handle_torch_function.__code__

TORCHS_OWN: set[Any] = set()  # functions met; only those of Python's own kind may be looked up
_found: dict[CodeType, Any] = {}


def original(function: Any, asking: FrameType | None) -> Any:
    """The function that was called.

    Args:
        function: What the mode was told.
        asking: The frame that called the mode.
    """
    if type(function) is FunctionType and function.__code__.co_filename.startswith(_TORCH):
        if len(TORCHS_OWN) < MAX_KNOWN:
            TORCHS_OWN.add(function)
        return function
    called = asking.f_back if asking is not None and asking.f_code is _ASKS else None
    if called is None or not called.f_code.co_filename.startswith(_TORCH):
        return function  # the program's own function may ask as well
    if _is_its_own(called, function):
        return function
    return _function_of(called)


def _is_its_own(frame: FrameType, function: Any) -> bool:
    """Whether a method of the callable object runs, as of a higher-order operator."""
    code = frame.f_code
    return code.co_argcount > 0 and frame.f_locals.get(code.co_varnames[0]) is function


def _function_of(frame: FrameType) -> Any:
    """The function that runs in a frame: torch's, of a module, so its globals tell it apart."""
    code = frame.f_code
    if code not in _found:
        having = (f for f in gc.get_referrers(code) if isinstance(f, FunctionType))
        made = FunctionType(code, frame.f_globals)
        _found[code] = next((f for f in having if f.__globals__ is frame.f_globals), made)
    return _found[code]
