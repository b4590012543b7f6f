"""The exception that ended a run, as data."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from types import TracebackType

from gradscope.capture.source import UserCode, message_of, place
from gradscope.model.graph import Source
from gradscope.model.trace import ScriptError


def script_error(error: BaseException | None, user: UserCode) -> ScriptError | None:
    """What a report says about ``error``, whose traceback no longer has gradscope's frames."""
    if error is None:
        return None
    return ScriptError(
        type=type(error).__qualname__,
        message=message_of(error),
        source=_blamed(error, user),
        traceback="".join(traceback.format_exception(error)),
    )


def entries(head: TracebackType | None) -> Iterator[TracebackType]:
    """The entries of a traceback, outermost first."""
    while head is not None:
        yield head
        head = head.tb_next


def _blamed(error: BaseException, user: UserCode) -> Source | None:
    """The innermost line of the user's own code that the exception went through."""
    if isinstance(error, SyntaxError) and error.filename:
        return Source(error.filename, error.lineno or 0, (error.text or "").strip())
    through = list(entries(error.__traceback__))
    mine = [entry for entry in through if user.owns(entry.tb_frame.f_code)]
    if not through:
        return None
    blamed = (mine or through)[-1]
    return place(blamed.tb_frame.f_code, blamed.tb_lasti)
