"""Graphviz in child processes: several pictures at a time, each within its limit.

NOTE [No threads]: a report may be written while the interpreter ends, when no thread can start. So
one loop visits the children in turn. None of them outlives it: a child that takes too long, or that
is still at work when the loop ends by Ctrl-C, is killed and waited for.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from gradscope.errors import ImageError

ADVICE = "the .dot format needs no Graphviz, and fewer --max-nodes are drawn faster"
_SIGNATURES = {"svg": b"<svg", "png": b"\x89PNG\r\n", "pdf": b"%PDF-"}
_VISIT_S = 0.02
_TELL_S = 1.0

Engine = tuple[str, list[str]]
"""Its name for people, and its command."""


class TooLongError(ImageError):
    """It was stopped before it was done.

    Attributes:
        limit_s: Seconds it had.
    """

    def __init__(self, name: str, limit_s: float) -> None:
        super().__init__(f"{name} needed more than {limit_s:g} s to draw the graph; {ADVICE}.")
        self.limit_s = limit_s


@dataclass
class Layout:
    """One picture on its way: through one engine after the other until one can draw it.

    Attributes:
        dot: The graph in the DOT language.
        fmt: Format of the result.
        engines: What to try, in this order.
        limit_s: Seconds for all of it.
        result: The picture, or why there is none; None while it is not known.
    """

    dot: bytes
    fmt: str
    engines: list[Engine]
    limit_s: float
    result: bytes | ImageError | None = None
    _child: subprocess.Popen[bytes] | None = None
    _started: float = field(default_factory=time.monotonic)
    _failures: list[str] = field(default_factory=list)

    def visit(self, wait_s: float) -> None:
        """Goes on with it for at most so long."""
        if self._child is None:
            self._next_engine()
        elif self.seconds > self.limit_s:
            self._give_up()
        else:
            self._look(self._child, wait_s)

    @property
    def seconds(self) -> float:
        """Since when it is under way."""
        return time.monotonic() - self._started

    def stop(self) -> None:
        """Ends the child, if there is one."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            with suppress(OSError), child:  # closes its pipes and waits for it
                pass

    def _next_engine(self) -> None:
        if not self.engines:
            told = "; ".join(self._failures)
            self.result = ImageError(f"Graphviz could not draw the graph ({told}); {ADVICE}.")
            return
        try:
            self._child = self._begin(self.engines[0][1])
        except OSError as error:
            self._failed(str(error))

    def _begin(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        # From a file, since a pipe to a child that does not read yet would have to be watched.
        with tempfile.TemporaryFile() as given:
            given.write(self.dot)
            given.seek(0)
            pipe = subprocess.PIPE
            return subprocess.Popen(
                command, stdin=given, stdout=pipe, stderr=pipe, env=_environment()
            )

    def _look(self, child: subprocess.Popen[bytes], wait_s: float) -> None:
        try:
            out, said = child.communicate(timeout=wait_s)
        except subprocess.TimeoutExpired:
            return
        self._child = None
        if child.returncode == 0 and _SIGNATURES[self.fmt] in out[:2000]:
            self.result = out
        else:
            self._failed(_reason(child.returncode, said))

    def _failed(self, reason: str) -> None:
        name, _ = self.engines.pop(0)
        self._failures.append(f"{name}: {reason}")

    def _give_up(self) -> None:
        self.stop()
        self.result = TooLongError(self.engines[0][0], self.limit_s)


def lay_out(
    layouts: Sequence[Layout], tell: Callable[[float], None] = lambda _: None
) -> list[bytes | ImageError]:
    """What became of each, in order.

    Args:
        layouts: Pictures, all under way at the same time.
        tell: Called every second with the seconds gone by.
    """
    told = 0.0
    try:
        while waiting := [layout for layout in layouts if layout.result is None]:
            for layout in waiting:
                layout.visit(_VISIT_S)
            gone = max(layout.seconds for layout in waiting)
            if gone - told >= _TELL_S:
                told = gone
                tell(gone)
    finally:
        for layout in layouts:
            layout.stop()
    return [layout.result for layout in layouts if layout.result is not None]


def _environment() -> dict[str, str]:
    # With SERVER_NAME set, Graphviz takes itself for a web server and refuses files.
    return {key: value for key, value in os.environ.items() if key != "SERVER_NAME"}


def _reason(code: int, stderr: bytes) -> str:
    """The last line the child said, or how it ended."""
    said = stderr.decode("utf-8", "replace").strip().splitlines()
    lines = [line for line in said if not line.startswith("Fontconfig")]
    if lines:
        return lines[-1][:200]
    if code < 0:
        return f"killed by signal {-code}"
    return f"exit code {code}" if code else "no output"
