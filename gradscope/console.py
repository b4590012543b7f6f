"""Where gradscope speaks while a program runs that owns stdout.

NOTE [Whose stdout]: stdout belongs to the program. Without ``--format`` what gradscope says goes
there only on a terminal, where both streams look the same; piped or redirected, stdout holds the
program's bytes and nothing else, and gradscope speaks on stderr. With ``--format`` the report was
asked for on stdout: then it is alone there, and what the program prints goes to stderr.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import TextIO

from gradscope.errors import UsageError
from gradscope.progress import is_terminal, moves_cursor
from gradscope.render.options import RenderOptions
from gradscope.render.safe import LIST_LIMIT, visible

_TEXTS = ("text", "concise", "full")


class Console:
    """Where gradscope speaks, settled before the program runs.

    Args:
        quiet: Say nothing but errors.
        alone: Keep stdout for the report and send the program's output to stderr.
        color: ``auto``, ``always`` or ``never``.
    """

    def __init__(self, *, quiet: bool, alone: bool, color: str) -> None:
        self.quiet = quiet
        self.failed = False
        self.err: TextIO | None = sys.stderr
        self.folder = os.getcwd()
        self.report_to: TextIO | None = sys.stdout if is_terminal(sys.stdout) else sys.stderr
        self._color = color
        self._shows_progress = not quiet and moves_cursor(self.err)
        self.format_fd = _take_stdout() if alone else None

    def shown(self, path: Path) -> str:
        """The path as seen from where the command was given, when it is below; on one line."""
        below = path.relative_to(self.folder) if path.is_relative_to(self.folder) else path
        return visible(str(below), LIST_LIMIT)

    def note(self, text: str) -> None:
        """Says something worth knowing."""
        if not self.quiet:
            write(self.err, f"gradscope: {text}\n")

    def warning(self, text: str) -> None:
        """Says what is known to be missing also to who wants to hear of nothing else."""
        write(self.err, f"gradscope: {text}\n")

    def error(self, text: str) -> None:
        """Says that something asked for is missing."""
        self.failed = True
        write(self.err, f"gradscope: {text}\n")

    def progress(self, text: str) -> None:
        """Shows a line in the place of the last one, to be erased; on a terminal only."""
        if self._shows_progress:
            write(self.err, f"\r\x1b[Kgradscope: {text}")

    def erase(self) -> None:
        """Takes that line away."""
        if self._shows_progress:
            write(self.err, "\r\x1b[K")

    def say(self, text: str) -> None:
        """Prints a report for people."""
        write(self.report_to, text)

    def for_people(self) -> RenderOptions:
        """How a report is drawn that ``say`` prints."""
        encoding = (getattr(self.report_to, "encoding", None) or "ascii").lower()
        return self._for_text(wants_color(self._color, self.report_to), encoding.startswith("utf"))

    def for_stdout(self, form: str) -> RenderOptions:
        """How a report is drawn that was asked for on stdout, alone."""
        if form in _TEXTS:
            return self._for_text(self._color == "always", True)
        return self.for_files()

    def for_files(self) -> RenderOptions:
        """How reports in files are drawn: the same from every terminal."""
        return RenderOptions(folder=self.folder)

    def _for_text(self, color: bool, unicode: bool) -> RenderOptions:
        width = shutil.get_terminal_size((100, 24)).columns
        return RenderOptions(width=width, color=color, unicode=unicode, folder=self.folder)

    def send(self, data: bytes) -> None:
        """Writes to what was the program's stdout.

        Raises:
            OSError: Nobody reads, or the disk is full.
        """
        if self.format_fd is not None:
            with open(self.format_fd, "wb") as out:
                out.write(data)


def wants_color(when: str, stream: TextIO | None) -> bool:
    """Whether text for this stream carries colours."""
    plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    return when == "always" or (when == "auto" and is_terminal(stream) and not plain)


def write(stream: TextIO | None, text: str) -> None:
    """Prints without a word where that is no longer possible."""
    if stream is None:
        return
    try:
        stream.write(text)
        stream.flush()
    except UnicodeEncodeError:
        stream.write(text.encode("ascii", "backslashreplace").decode())
    except (OSError, ValueError):
        return  # closed by the program, or nobody reads


def _take_stdout() -> int:
    """Keep stdout for the report and send everything else that goes there to stderr."""
    if sys.stdout is None or sys.stderr is None:
        raise UsageError("--format needs both stdout and stderr, and one of them is closed.")
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    return kept
