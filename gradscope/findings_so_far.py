"""What is wrong with a run that still goes on, for the line that passes while it does.

NOTE [A hundredth of the time]: judging costs milliseconds for a small network and most of a second
for a graph of thousands of nodes, and the program waits for it. So the next look is only taken once
all looks together, the next one included, are less than a hundredth of the time gone by.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol

from gradscope.capture.source import is_own
from gradscope.diagnose.engine import diagnose
from gradscope.model.finding import Finding
from gradscope.model.trace import Trace
from gradscope.render.safe import visible

_SHARE = 100
_FIRST_S = 5.0  # what is wrong in the first seconds may right itself
_ENOUGH = 20  # backwards
_BASE_S, _PER_NODE_S = 0.1, 2.5e-4  # of the first look, generously
_GROWS = 1.5
_PLACE = 40  # characters


class Recording(Protocol):
    """What can give the trace of a run that still goes on."""

    @property
    def is_ready(self) -> bool:
        """Whether this is a moment at which it can."""

    @property
    def nodes(self) -> int:
        """Nodes of the latest graph."""

    def trace(self) -> Trace:
        """The trace so far."""


class FindingsSoFar:
    """Looks now and then; never raises.

    Args:
        select: Codes of the only rules to run; empty: all.
        ignore: Codes of rules not to run.
        clock: Seconds that never go back.

    Attributes:
        text: What to say about the last look; empty before the first.
    """

    def __init__(
        self,
        select: Sequence[str] = (),
        ignore: Sequence[str] = (),
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.text = ""
        self._rules = (select, ignore)
        self._clock = clock
        self._recording: Recording | None = None
        self._due = _FIRST_S
        self._spent = 0.0
        self._next: float | None = None  # seconds that the next look is going to take

    def attach(self, recording: Recording) -> None:
        """Says what to look at."""
        self._recording = recording

    def look(self, step: int, seconds: float) -> None:
        """Judges the run if it is time to; ``seconds`` have gone by since the first backward."""
        recording = self._recording
        if seconds < self._due or step < _ENOUGH or recording is None or not recording.is_ready:
            return
        if self._next is None:
            self._next = _BASE_S + _PER_NODE_S * recording.nodes
        self._due = max(self._due, _SHARE * (self._spent + self._next))
        if seconds >= self._due:
            self._judge(recording)

    def _judge(self, recording: Recording) -> None:
        started = self._clock()
        select, ignore = self._rules
        try:
            report = diagnose(recording.trace(), select=select, ignore=ignore)
            self.text = _told([f for f in report.findings if f.severity != "info"])
        except Exception as error:
            if not _is_our_own(error):
                raise
            self.text = ""  # the report at the end will say what failed
        took = self._clock() - started
        self._spent += took
        self._next = _GROWS * took


def _is_our_own(error: Exception) -> bool:
    """Whether it was raised here, and not by a signal handler of the program."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and is_own(trace.tb_frame.f_code.co_filename)


def _told(findings: Sequence[Finding]) -> str:
    if not findings:
        return "so far nothing found"
    first = findings[0]
    source = first.where.source
    place = f" at {visible(source.location, _PLACE, unicode=False)}" if source is not None else ""
    more = f", and {len(findings) - 1} more" if len(findings) > 1 else ""
    return f"so far {first.code} {first.name}{place}{more}"
