"""Errors that the script met: which of them ended it, and what a rule says of the others."""

from __future__ import annotations

from collections.abc import Iterator

from gradscope.analysis.errors import RAISED
from gradscope.diagnose.run import Run
from gradscope.model.finding import Severity
from gradscope.model.trace import Step


def raised(run: Run, *parts: str) -> str:
    """Message of the exception that ended the script when it contains one of the parts."""
    error = run.trace.script_error
    said = error.message if error is not None else ""
    return said if any(part in said for part in parts) else ""


def failed_steps(run: Run, part: str) -> Iterator[Step]:
    """Backwards whose error says that: of each line the last one."""
    last: dict[tuple[str, int] | None, Step] = {}
    for step in run.trace.steps:
        if step.error is not None and part in step.error:
            source = step.source
            last[(source.file, source.line) if source else None] = step
    yield from last.values()


def ended_it(run: Run, step: Step) -> bool:
    """Whether the error of that backward is the one that ended the script."""
    error = run.trace.script_error
    if error is None or step.error is None or not error.message:
        return False
    later = [s for s in run.trace.steps if s.index > step.index and s.error == step.error]
    return step.error.partition(": ")[2] == error.message and not later


def severity(run: Run, step: Step) -> Severity:
    """An error that the script caught may be a lesson."""
    return "error" if ended_it(run, step) else "info"


def evidence(run: Run, step: Step) -> dict[str, float | int | str]:
    """What ties the finding to the script's exception, when that backward raised it."""
    error = run.trace.script_error
    return {RAISED: error.type} if error is not None and ended_it(run, step) else {}
