"""Exceptions of the user's program: their tracebacks without gradscope's frames."""

from __future__ import annotations

import sys
import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, TracebackType

from gradscope.capture.source import UserCode, place
from gradscope.model.graph import Source
from gradscope.model.trace import ScriptError

_OWN = str(Path(__file__).resolve().parent) + "/"
_IMPORT = ("<frozen importlib.", f"{sysconfig.get_path('stdlib')}/importlib/")
_FORWARDERS = frozenset({"handle_torch_function", "__torch_function__"})


def clean_traceback(error: BaseException) -> None:
    """Drop gradscope's frames from ``error`` and from every exception chained to it, in place."""
    for each in _chain(error):
        each.__traceback__ = _without_own(each.__traceback__)


def describe(error: BaseException) -> ScriptError:
    """What a report says about the exception that ended the program; ``error`` was cleaned."""
    return ScriptError(
        type=type(error).__qualname__,
        message=_message(error),
        source=_blame(error),
        traceback="".join(traceback.format_exception(error)),
    )


def print_exception(error: BaseException) -> None:
    """Show an uncaught exception as the interpreter would, through ``sys.excepthook``."""
    sys.last_type, sys.last_value = type(error), error
    sys.last_traceback = error.__traceback__
    try:
        sys.excepthook(type(error), error, error.__traceback__)
    except Exception:
        sys.__excepthook__(type(error), error, error.__traceback__)


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
    entries = list(_entries(head))
    kept = [entry for entry, keep in zip(entries, _keep(entries), strict=True) if keep]
    result: TracebackType | None = None
    for entry in reversed(kept):
        result = TracebackType(result, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    return result


def _entries(head: TracebackType | None) -> Iterator[TracebackType]:
    while head is not None:
        yield head
        head = head.tb_next


def _keep(entries: list[TracebackType]) -> list[bool]:
    """Which entries the interpreter alone would have shown."""
    codes = [entry.tb_frame.f_code for entry in entries]
    own = [code.co_filename.startswith(_OWN) for code in codes]
    keep = [not mine for mine in own]
    for index in (i for i, mine in enumerate(own) if mine):
        _drop(keep, range(index - 1, -1, -1), codes, own)
        _drop(keep, range(index + 1, len(codes)), codes, own)
        if index and not own[index - 1]:
            _drop_first_run(keep, codes, index)
    return keep


def _drop(keep: list[bool], way: range, codes: list[CodeType], own: list[bool]) -> None:
    """Drop the import machinery next to an own frame; the interpreter hides it as well."""
    for index in way:
        if own[index] or not codes[index].co_filename.startswith(_IMPORT):
            return
        keep[index] = False


def _drop_first_run(keep: list[bool], codes: list[CodeType], own: int) -> None:
    """Drop the call that torch made only to find gradscope's function mode.

    A torch function that a mode sees runs twice: once to find the mode, and again from inside it.
    Without gradscope there would be only the second run.
    """
    first = own - 1
    while first > 0 and codes[first].co_name in _FORWARDERS:
        first -= 1
    second = next((i for i in range(own, len(codes)) if keep[i]), None)
    if first < own - 1 and second is not None and codes[first] is codes[second]:
        keep[first:own] = [False] * (own - first)


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:
        return "(its message could not be read)"


def _blame(error: BaseException) -> Source | None:
    """The innermost line of the user's own code that the exception went through."""
    if isinstance(error, SyntaxError) and error.filename:
        return Source(error.filename, error.lineno or 0, (error.text or "").strip())
    entries = list(_entries(error.__traceback__))
    if not entries:
        return None
    user = UserCode()
    mine = [entry for entry in entries if user.owns(entry.tb_frame.f_code)]
    blamed = (mine or entries)[-1]
    return place(blamed.tb_frame.f_code, blamed.tb_lasti)
