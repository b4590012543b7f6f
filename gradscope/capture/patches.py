"""The two places torch functions do not pass: custom Functions and new threads.

Each patch is put back when the capture ends, unless somebody else has patched over it; then it
stays as an inert link.
"""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from types import FrameType
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import Function
from torch.utils.checkpoint import CheckpointFunction

from gradscope.capture.dynamo import own_work, way_through
from gradscope.capture.forward import ForwardMode, ForwardRecorder, counter
from gradscope.capture.quiet import recover


class Functions:
    """Brackets ``Function.apply``, which bypasses torch functions.

    A script may have bound ``f = MyFunction.apply`` before; what the original calls on its way,
    a private name, tells of those.
    """

    def __init__(self, recorder: ForwardRecorder) -> None:
        self._recorder: ForwardRecorder | None = recorder
        self._known = threading.local()  # ``apply`` of ours is running and will note the call

    def install(self, undo: ExitStack) -> None:
        """Replaces ``torch.autograd.Function.apply`` and what it calls."""
        original = Function.__dict__["apply"]
        wrapped: Any = classmethod(self._wrap(original))
        undo.callback(self._put_back, wrapped, original)
        Function.apply = wrapped  # type: ignore[method-assign]
        inner = getattr(torch._functorch.utils, "unwrap_dead_wrappers", None)
        if inner is not None:
            wrapped_inner = self._wrap_inner(inner)
            undo.callback(self._put_inner_back, wrapped_inner, inner)
            torch._functorch.utils.unwrap_dead_wrappers = wrapped_inner

    def _put_back(self, wrapped: object, original: Any) -> None:
        self._recorder = None
        if Function.__dict__.get("apply") is wrapped:
            Function.apply = original  # type: ignore[method-assign]

    def _put_inner_back(self, wrapped: object, original: Any) -> None:
        if torch._functorch.utils.unwrap_dead_wrappers is wrapped:
            torch._functorch.utils.unwrap_dead_wrappers = original

    @own_work
    def _sees(self) -> ForwardRecorder | None:
        recorder = self._recorder
        if recorder is None or not recorder.recording or torch.compiler.is_compiling():
            return None
        return recorder

    def _wrap(self, original: Any) -> Any:
        @functools.wraps(original.__func__)
        @way_through
        def apply(cls: type, *args: Any, **kwargs: Any) -> Any:
            run = original.__get__(None, cls)
            recorder = self._sees()
            if recorder is None:
                return run(*args, **kwargs)
            before = counter()
            self._known.call = True
            try:
                out = run(*args, **kwargs)
            finally:
                self._known.call = False
            after = counter()
            if after != before:
                recorder.note(cls, before, after, out, arguments=args)
            if cls is CheckpointFunction:
                recorder.cuts.checkpointed(out)
            return out

        return apply

    def _wrap_inner(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        @way_through
        def unwrap(args: tuple[Any, ...]) -> Any:
            recorder = self._sees()
            if recorder is not None and not getattr(self._known, "call", False):
                try:
                    _note_early(recorder, args, sys._getframe(1))
                except BaseException as error:
                    recover(error)
                    recorder.failures += 1
            self._known.call = False
            return original(args)

        return unwrap


_APPLY = getattr(Function.__dict__["apply"].__func__, "__code__", None)


@own_work
def _note_early(recorder: ForwardRecorder, args: tuple[Any, ...], caller: FrameType) -> None:
    """Notes a call that is about to make its node, from inside the original ``apply``."""
    if caller.f_code is not _APPLY or not torch.is_grad_enabled():
        return
    if any(a.requires_grad for a in args if issubclass(type(a), Tensor)):
        before = counter()
        recorder.note(caller.f_locals.get("cls"), before, before + 1, None, depth=4)


class Threads:
    """Lets new threads be seen, too: a torch function mode holds for one thread only."""

    def __init__(self, recorder: ForwardRecorder) -> None:
        self._recorder: ForwardRecorder | None = recorder

    def install(self, undo: ExitStack) -> None:
        """Replaces the private method that runs a new thread's body, where there is one."""
        original = getattr(threading.Thread, "_bootstrap_inner", None)
        if original is None:
            return

        @functools.wraps(original)
        @way_through
        def bootstrap(thread: threading.Thread) -> None:
            if self._recorder is None:
                original(thread)
                return
            with ForwardMode(self._recorder):
                original(thread)

        undo.callback(self._put_back, bootstrap, original)
        threading.Thread._bootstrap_inner = bootstrap  # type: ignore[attr-defined]

    def _put_back(self, wrapped: object, original: Any) -> None:
        self._recorder = None
        if getattr(threading.Thread, "_bootstrap_inner", None) is wrapped:
            threading.Thread._bootstrap_inner = original  # type: ignore[attr-defined]
