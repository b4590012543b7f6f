"""Exceptions of the user's program: their tracebacks without gradscope's frames."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType

from gradscope.capture.frames import by_python_alone
from gradscope.capture.raised import entries


def clean_traceback(error: BaseException) -> None:
    """Drop gradscope's frames from ``error`` and from every exception chained to it, in place."""
    for each in _chain(error):
        each.__traceback__ = _without_own(each.__traceback__)


def print_exception(error: BaseException) -> None:
    """Show an uncaught exception as the interpreter would, through ``sys.excepthook``."""
    sys.last_type, sys.last_value = type(error), error
    sys.last_traceback = error.__traceback__
    try:
        sys.excepthook(type(error), error, error.__traceback__)
    except Exception:
        sys.__excepthook__(type(error), error, error.__traceback__)


@contextmanager
def clean_in_threads() -> Iterator[None]:
    """While open, what the program's threads print of an exception is without our frames too."""
    shown = threading.excepthook

    def show(args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None:
            clean_traceback(args.exc_value)
            trace = args.exc_value.__traceback__
            args = threading.ExceptHookArgs((args.exc_type, args.exc_value, trace, args.thread))
        shown(args)

    threading.excepthook = show
    try:
        yield
    finally:
        if threading.excepthook is show:
            threading.excepthook = shown


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        waiting += [each.__cause__, each.__context__]
        if isinstance(each, BaseExceptionGroup):
            waiting += each.exceptions


def _without_own(head: TracebackType | None) -> TracebackType | None:
    whole = [(each.tb_frame, each.tb_lasti, each.tb_lineno) for each in entries(head)]
    result: TracebackType | None = None
    for frame, lasti, line in reversed(by_python_alone(whole)):
        result = TracebackType(result, frame, lasti, line)
    return result
