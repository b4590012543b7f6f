"""One line on the terminal while the program runs: backwards, their rate, the time, what is wrong.

NOTE [The program's terminal]: the program prints to the same terminal whenever it likes, so the
line must be gone by then. It is written from the capture's own bookkeeping after a backward (no
thread, no signal, no timer), only where the cursor stands at the start of a line, and the streams'
``write`` is watched: the first character that the program writes erases it. What goes around
Python's streams (``os.write``, C++) overwrites the line, since the cursor stays at its start.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TextIO

from gradscope.findings_so_far import FindingsSoFar

_FIRST_S = 1.0  # a short run is over before anybody wonders
_EVERY_S = 0.2
_ERASE = "\r\x1b[K"


class ProgressLine:
    """The line; nothing at all where stderr is no terminal.

    Args:
        err: Where the line goes.
        streams: What the program prints to; those that are terminals are watched.
        clock: Seconds that never go back.
        findings: Judges the run while it goes on.
    """

    def __init__(
        self,
        err: TextIO,
        streams: tuple[TextIO, ...],
        clock: Callable[[], float] = time.monotonic,
        findings: FindingsSoFar | None = None,
    ) -> None:
        self._err = err
        self._findings = findings
        self._clock = clock
        self._watched = [s for s in dict.fromkeys((err, *streams)) if is_terminal(s)]
        self._hooks: dict[TextIO, Callable[[str], int]] = {}
        self._started: float | None = None
        self._shown_at = 0.0
        self._visible = False
        self._line_start = True
        self._is_on = moves_cursor(err)

    def __call__(self, step: int) -> None:
        """A backward is over; ``step`` is its index. Shows the line when it is time."""
        if not self._is_on:
            return
        now = self._clock()
        if self._started is None:
            self._started = now
        if self._findings is not None:
            self._findings.look(step, now - self._started)
        if now - self._started < _FIRST_S or now - self._shown_at < _EVERY_S:
            return
        self._watch()
        if self._is_on and self._line_start:
            self._show(step, now - self._started)
        self._shown_at = now

    def close(self) -> None:
        """Erases the line and leaves the streams as they were; does nothing the second time."""
        self._is_on = False
        self._erase()
        for stream, hook in self._hooks.items():
            if vars(stream).get("write") is hook:
                del vars(stream)["write"]
        self._hooks.clear()

    def _show(self, step: int, seconds: float) -> None:
        text = f"gradscope: {step + 1:,} backwards, {step / seconds:.3g}/s, {_clock(seconds)}"
        if self._findings is not None and self._findings.text:
            text = f"{text}, {self._findings.text}"
        columns = shutil.get_terminal_size((80, 24)).columns
        self._visible = True
        self._write(f"{_ERASE}{text[: columns - 1]}\r")

    def _erase(self) -> None:
        if self._visible:
            self._visible = False
            self._write(_ERASE)

    def _write(self, text: str) -> None:
        with suppress(OSError, ValueError):  # closed by the program, or nobody reads
            type(self._err).write(self._err, text)
            self._err.flush()

    def _watch(self) -> None:
        """Begins to see what the program writes; once."""
        for stream in self._watched:
            attributes = getattr(stream, "__dict__", None)
            if stream not in self._hooks and attributes is not None:
                if "write" in attributes:  # the program has its own there: leave the terminal
                    self.close()
                    return
                self._hooks[stream] = hook = self._hook(stream)
                attributes["write"] = hook

    def _hook(self, stream: TextIO) -> Callable[[str], int]:
        write: Any = stream.write

        def erasing_write(text: str, /) -> int:
            self._erase()
            written: int = write(text)
            if text:
                self._line_start = text.endswith("\n")
            return written

        return erasing_write


def moves_cursor(stream: TextIO | None) -> bool:
    """Whether it is a terminal on which a line can be taken back."""
    return is_terminal(stream) and os.environ.get("TERM") not in ("dumb", "unknown", "")


def is_terminal(stream: TextIO | None) -> bool:
    """Whether somebody reads it as it is written; not where the program has closed it."""
    try:
        return stream is not None and stream.isatty()
    except (OSError, ValueError):
        return False


def _clock(seconds: float) -> str:
    """``21 s``, ``3:05 min``, ``2:03:05 h``."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}:{whole % 60:02d} min"
    return f"{whole // 3600}:{whole % 3600 // 60:02d}:{whole % 60:02d} h"
