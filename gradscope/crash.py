"""Exceptions of the user's program: their tracebacks without gradscope's frames."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import TracebackType

from gradscope.capture.frames import by_python_alone
from gradscope.capture.raised import entries


def clean_traceback(error: BaseException) -> None:
    """Drop gradscope's frames from ``error`` and from every exception chained to it, in place."""
    for each in _chain(error):
        each.__traceback__ = _without_own(each.__traceback__)


def print_exception(error: BaseException) -> None:
    """Show an uncaught exception as the interpreter would, through ``sys.excepthook``.

    Raises:
        SystemExit: The hook ends the program.
        KeyboardInterrupt: Somebody ended the hook.
    """
    kind, trace = type(error), error.__traceback__
    sys.last_type, sys.last_value, sys.last_traceback = kind, error, trace
    hook = getattr(sys, "excepthook", _missing)
    failed = _failure_of(hook, error)
    if failed is None:
        return
    if failed is error and sys.version_info < (3, 12):  # which showed it as it was given
        error.__traceback__ = trace
    clean_traceback(failed)
    _write("Error in sys.excepthook:\n")
    sys.__excepthook__(type(failed), failed, failed.__traceback__)
    _write("\nOriginal exception was:\n")
    sys.__excepthook__(kind, error, trace)


def _missing(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    _write("sys.excepthook is missing\n")
    sys.__excepthook__(kind, error, trace)


def _failure_of(hook: Callable[..., object], error: BaseException) -> BaseException | None:
    try:
        hook(type(error), error, error.__traceback__)
    except (SystemExit, KeyboardInterrupt):
        raise
    except BaseException as failed:
        return failed
    return None


def _write(text: str) -> None:
    with suppress(Exception):  # the program has closed or replaced it
        sys.stderr.write(text)


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
