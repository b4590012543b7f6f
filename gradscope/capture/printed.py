"""Tracebacks and stacks that the program prints itself, without gradscope's frames.

All that Python's ``traceback`` module prints or extracts, ``logging.exception`` and anomaly mode's
"Traceback of forward call that caused the error" among it, comes through one method of its
``StackSummary``. Only the text changes: exceptions keep the traceback they have, so a debugger, or
whoever walks ``__traceback__`` or the frames themselves (IPython, rich, pytest, ``walk_tb``), meets
gradscope's frames as well.

NOTE [Failures of our own]: a frame of ours below the program's last line is only left out where
what it calls is not ours. What really failed in gradscope, or cut it off while it worked, shows.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from functools import wraps
from itertools import chain, islice, pairwise
from types import CodeType, FrameType
from typing import Any

from gradscope.capture.dynamo import is_way_through, own_work, way_through
from gradscope.capture.frames import by_python_alone, inside_launcher
from gradscope.capture.hooked import Entry
from gradscope.capture.patching import replace
from gradscope.capture.quiet import recover
from gradscope.capture.source import is_own

MAX_FRAMES = 100_000  # what gives them may not end
_EXTRACT = "_extract_from_extended_frame_gen"
_NOWHERE = -1

Positions = tuple[int | None, int | None, int | None, int | None]  # line, last line, columns
Item = tuple[FrameType, Positions]


class PrintedTracebacks:
    """Stands before the method that every printed stack passes, while installed.

    Args:
        is_user_code: Whether a code object is the program's.

    Attributes:
        failures: Stacks that were left as they are.
    """

    def __init__(self, is_user_code: Callable[[CodeType], bool]) -> None:
        self.failures = 0
        self._is_user_code = is_user_code
        self._active = True

    def install(self, undo: ExitStack) -> None:
        """Replaces it; ``undo`` puts it back."""
        undo.callback(self._retire)
        replace(undo, traceback.StackSummary, _EXTRACT, self._wrap)

    def _retire(self) -> None:
        self._active = False

    def _wrap(self, original: Any) -> Any:
        @wraps(getattr(original, "__func__", original))
        @way_through
        def extract(kind: type, frames: Iterable[Item], **options: Any) -> Any:
            # Read in this very frame: ``walk_stack(None)`` counts those above it.
            frames = iter(frames)
            given = list(islice(frames, MAX_FRAMES))
            run = original.__get__(None, kind)
            return run(chain(self._cleaned(given), frames), **options)

        made: Any = extract
        return classmethod(made)

    @own_work
    def _cleaned(self, given: list[Item]) -> list[Item]:
        if not self._active:
            return given
        try:
            if _is_inwards(given):
                return self._theirs(given)
            return self._theirs(given[::-1])[::-1]
        except BaseException as error:
            recover(error)
            self.failures += 1
            return given

    def _theirs(self, given: list[Item]) -> list[Item]:
        """Of frames from the outermost to the innermost."""
        entries = [(frame, _NOWHERE, positions[0] or 0) for frame, positions in given]
        items = {id(entry): item for entry, item in zip(entries, given, strict=True)}
        inside = inside_launcher(entries)
        kept = by_python_alone(inside, self._passed(inside))
        precise = any(column is not None for _, (_, _, column, _) in given)
        return [items.get(id(entry)) or _item(entry, precise) for entry in kept]

    def _passed(self, entries: list[Entry]) -> list[bool]:
        """Which frames are gradscope's and did not fail."""
        codes = [frame.f_code for frame, _, _ in entries]
        own = [i for i, code in enumerate(codes) if is_own(code.co_filename)]
        user = max((i for i, code in enumerate(codes) if self._is_user_code(code)), default=0)
        passed = {i for i in own if i < user or is_way_through(codes[i])}
        return [i in passed for i in range(len(codes))]


def _is_inwards(given: list[Item]) -> bool:
    """Whether they come as in a traceback, callers first."""
    frames = [frame for frame, _ in given]
    return not any(getattr(a, "f_back", None) is b for a, b in pairwise(frames))


def _item(entry: Entry, precise: bool) -> Item:
    frame, lasti, line = entry
    if not precise:
        return frame, (line, None, None, None)
    return frame, next(islice(frame.f_code.co_positions(), lasti // 2, None))
