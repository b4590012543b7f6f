"""Warnings tell the line they tell without gradscope, not one of gradscope's.

NOTE [Where a warning comes from]: Python counts frames to find the line, and remembers per line
what it has shown. With gradscope's frames in between, the count ends in them, and two warnings of
the user's become one. So the frames are counted without them. A warning from torch's C++ code does
not ask ``warnings.warn``: when it is shown for a line of ours, that is forgotten again, and it is
given anew for the user's.
"""

from __future__ import annotations

import sys
import warnings
from _warnings import warn_explicit
from collections.abc import Callable
from contextlib import ExitStack
from functools import wraps
from types import FrameType
from typing import Any, NamedTuple, TypeVar

from gradscope.capture.dynamo import way_through
from gradscope.capture.frames import by_python_alone, inside_launcher, stack_of
from gradscope.capture.patching import replace
from gradscope.capture.quiet import recover
from gradscope.capture.source import is_own

T = TypeVar("T")

_BOOTSTRAP = ("importlib", "_bootstrap")


class _Line(NamedTuple):
    """What a warning is about; ``names`` are the module's, where Python notes what it has shown."""

    file: str
    line: int
    names: dict[str, Any]


class Warnings:
    """Stands before ``warnings.warn`` and before what shows a warning while installed.

    Attributes:
        failures: Warnings whose line could not be told.
    """

    def __init__(self) -> None:
        self.failures = 0

    def install(self, undo: ExitStack) -> None:
        """Replaces both; ``undo`` puts them back."""
        replace(undo, warnings, "warn", self._wrap_warn)
        replace(undo, warnings, "_showwarnmsg", self._wrap_show)

    def _wrap_warn(self, original: Any) -> Any:
        @wraps(original)
        @way_through
        def warn(
            message: Any, category: Any = None, stacklevel: int = 1, source: Any = None, **more: Any
        ) -> None:
            kind = type(message) if isinstance(message, Warning) else category or UserWarning
            known = isinstance(kind, type) and issubclass(kind, Warning) and not more
            caller = self._guarded(_caller, sys._getframe(1), stacklevel) if known else None
            if caller is None:
                original(message, category, stacklevel + 1, source, **more)
            else:
                _warn_at(caller, message, kind, source)

        warn.__module__ = warnings.__name__  # where pickle finds it; the original is elsewhere, too
        return warn

    def _wrap_show(self, original: Any) -> Any:
        @wraps(original)
        @way_through
        def show(message: warnings.WarningMessage) -> None:
            caller = self._guarded(_whose, sys._getframe(1), message)
            if caller is None:
                original(message)
            else:
                _warn_at(caller, message.message, message.category, message.source)

        return show

    def _guarded(self, part: Callable[..., T], *arguments: Any) -> T | None:
        try:
            return part(*arguments)
        except BaseException as error:
            recover(error)
            self.failures += 1
            return None


@way_through
def _warn_at(caller: _Line, message: Any, kind: type[Warning], source: Any) -> None:
    """Warns of a line, unless what Python remembers of its file says that it has.

    The module's names are kept from it: with them it asks the module's loader for the text, as
    ``warnings.warn`` does not, and that raises where the file has changed or has another name.
    """
    registry = caller.names.setdefault("__warningregistry__", {})
    module = caller.names.get("__name__", ...)
    if module is not None and not isinstance(module, str):
        module = "<string>"
    warn_explicit(message, kind, caller.file, caller.line, module, registry, None, source)


def _whose(frame: FrameType, message: warnings.WarningMessage) -> _Line | None:
    """The user's line of a warning that names one of gradscope's, for which it is forgotten."""
    if not is_own(message.filename):
        return None
    for ours, _, _ in stack_of(frame):
        if ours.f_code.co_filename == message.filename:
            ours.f_globals.pop("__warningregistry__", None)
    once: Any = vars(warnings).get("onceregistry")
    if type(once) is dict:
        once.pop((str(message.message), message.category), None)
    return _caller(frame, 1)


def _caller(frame: FrameType, level: int) -> _Line:
    """What a warning of this ``stacklevel`` is about; above the program's stack that is ``sys``."""
    stack = by_python_alone(inside_launcher(stack_of(frame)))
    if stack and not _is_bootstrap(stack[-1][0]):
        stack = [entry for entry in stack if not _is_bootstrap(entry[0])]
    level = max(level, 1)
    if level > len(stack):
        return _Line("sys", 1, vars(sys))
    found, _, line = stack[-level]
    return _Line(found.f_code.co_filename, line, found.f_globals)


def _is_bootstrap(frame: FrameType) -> bool:
    return all(part in frame.f_code.co_filename for part in _BOOTSTRAP)
