"""``--verify-functions``: which custom Functions run, with copies of one call's inputs each."""

from __future__ import annotations

import functools
import inspect
import linecache
import sys
from collections.abc import Callable
from contextlib import ExitStack
from types import CodeType, FrameType
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import Function
from torch.utils._pytree import tree_leaves, tree_map

from gradscope.capture.cells import shown_file
from gradscope.capture.dynamo import own_work, way_through
from gradscope.capture.quiet import quiet, recover
from gradscope.capture.readable import PLAIN
from gradscope.capture.slopes import compare
from gradscope.model.asked import FunctionCheck
from gradscope.model.graph import Source

MAX_FUNCTIONS = 50
MAX_ELEMENTS = 2_000_000
_APPLY = getattr(Function.__dict__["apply"].__func__, "__code__", None)


class FunctionWatch:
    """Keeps, on request, copies of what each custom Function was first called with.

    Arguments that are no tensors are held as they are until the run is over.

    It listens where ``Function.apply`` passes whichever way it was reached: a private name that
    the original calls with all arguments.
    """

    def __init__(self) -> None:
        self.failures = 0
        self._on = False
        self._calls: dict[type, tuple[Any, ...] | str] = {}  # the arguments, or why there are none

    def install(self, undo: ExitStack) -> None:
        """Begins to listen.

        Raises:
            AttributeError: This version of torch has no such place.
        """
        original = torch._functorch.utils.unwrap_dead_wrappers
        wrapped = self._wrap(original)
        undo.callback(self._put_back, wrapped, original)
        torch._functorch.utils.unwrap_dead_wrappers = wrapped
        self._on = True

    def _put_back(self, wrapped: object, original: Any) -> None:
        self._on = False
        if torch._functorch.utils.unwrap_dead_wrappers is wrapped:
            torch._functorch.utils.unwrap_dead_wrappers = original

    def _wrap(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        @way_through
        def unwrap(args: tuple[Any, ...]) -> Any:
            if self._on:
                try:
                    self._see(args, sys._getframe(1))
                except BaseException as error:
                    recover(error)
                    self.failures += 1
            return original(args)

        return unwrap

    @own_work
    def _see(self, args: tuple[Any, ...], caller: FrameType) -> None:
        while caller.f_code is not _APPLY:  # other wrappers of the same name
            if caller.f_back is None or caller.f_code.co_name != "unwrap":
                return
            caller = caller.f_back
        function = caller.f_locals.get("cls")
        if not isinstance(function, type) or function in self._calls:
            return
        if len(self._calls) >= MAX_FUNCTIONS or _is_library(function):
            return
        if torch.is_grad_enabled() and not torch.compiler.is_compiling():
            tensors = [leaf for leaf in tree_leaves(args) if isinstance(leaf, Tensor)]
            if any(tensor.requires_grad for tensor in tensors):
                with quiet():
                    self._calls[function] = _unfit(tensors) or tree_map(_copied, args)

    def checks(self, error: BaseException | None = None) -> tuple[FunctionCheck, ...]:
        """Compares what was kept; runs the user's forward and backward on copies.

        Args:
            error: What ended the run: after Ctrl-C nobody waits for more of it.
        """
        calls, self._calls = self._calls, {}
        if isinstance(error, KeyboardInterrupt):
            return ()
        return tuple(_check(function, kept) for function, kept in calls.items())


def _is_library(function: type) -> bool:
    return function.__module__.partition(".")[0] == "torch"


def _unfit(tensors: list[Tensor]) -> str:
    if any(type(t) not in PLAIN or t.layout is not torch.strided for t in tensors):
        return "an input is no plain tensor"
    if any(t.is_complex() or t.is_quantized or t.is_meta for t in tensors):
        return "an input has a data type without finite differences"
    if sum(t.numel() for t in tensors) > MAX_ELEMENTS:
        return f"its inputs have more than {MAX_ELEMENTS:,} elements"
    return ""


def _copied(leaf: Any) -> Any:
    if not isinstance(leaf, Tensor):
        return leaf
    return leaf.detach().clone().requires_grad_(leaf.requires_grad)


def _check(function: type, kept: tuple[Any, ...] | str) -> FunctionCheck:
    source = _backward_source(function)
    if isinstance(kept, str):
        return FunctionCheck(function.__name__, source, skipped=kept)
    return compare(function, kept, source)


def _backward_source(function: type) -> Source | None:
    """The line of ``def backward``, below its decorators."""
    for name in ("backward", "vjp"):
        method = getattr(function, name, None)
        if method is None or method in (Function.backward, Function.vjp):
            continue
        code = getattr(inspect.unwrap(method), "__code__", None)
        if isinstance(code, CodeType):
            return _definition(code)
    return None


def _definition(code: CodeType) -> Source:
    lines = linecache.getlines(code.co_filename)
    line = first = code.co_firstlineno
    for number, text in enumerate(lines[first - 1 : first + 19], first):
        if text.lstrip().startswith("def "):
            line = number
            break
    text = lines[line - 1].strip() if line <= len(lines) else ""
    return Source(shown_file(code.co_filename), line, text, code.co_qualname)
