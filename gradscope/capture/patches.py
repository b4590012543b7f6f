"""The two places torch functions do not pass: custom Functions and new threads.

Each patch is put back when the capture ends, unless somebody else has patched over it; then it
stays as an inert link.
"""

from __future__ import annotations

import functools
import threading
from contextlib import ExitStack
from typing import Any

import torch
from torch.autograd.function import Function

from gradscope.capture.forward import ForwardMode, ForwardRecorder, counter


class Functions:
    """Brackets ``Function.apply``, which bypasses torch functions."""

    def __init__(self, recorder: ForwardRecorder) -> None:
        self._recorder: ForwardRecorder | None = recorder

    def install(self, undo: ExitStack) -> None:
        """Replaces ``torch.autograd.Function.apply``."""
        original = Function.__dict__["apply"]
        wrapped: Any = classmethod(self._wrap(original))
        undo.callback(self._put_back, wrapped, original)
        Function.apply = wrapped  # type: ignore[method-assign]

    def _put_back(self, wrapped: object, original: Any) -> None:
        self._recorder = None
        if Function.__dict__.get("apply") is wrapped:
            Function.apply = original  # type: ignore[method-assign]

    def _wrap(self, original: Any) -> Any:
        @functools.wraps(original.__func__)
        def apply(cls: type, *args: Any, **kwargs: Any) -> Any:
            run = original.__get__(None, cls)
            recorder = self._recorder
            if recorder is None or torch.compiler.is_compiling() or not recorder.recording:
                return run(*args, **kwargs)
            before = counter()
            out = run(*args, **kwargs)
            after = counter()
            if after != before:
                recorder.note(cls, before, after, out)
            return out

        return apply


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
