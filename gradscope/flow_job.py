"""``gradscope flow``: run the program, show one gradient's way through it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from gradscope.console import Console
from gradscope.errors import GradscopeError, UsageError
from gradscope.flow_result import FLOW_SUFFIXES, FlowResult, flow_format
from gradscope.job import ProgramJob, warn_unattached
from gradscope.model.trace import Trace
from gradscope.output import check_target, write_file

FLOW_FORMATS = tuple(FLOW_SUFFIXES.values())
_NO_WAY = 2


@dataclass(frozen=True, kw_only=True)
class FlowJob(ProgramJob):
    """One ``gradscope flow``, as asked for.

    Attributes:
        to: Name of a parameter, an input or a variable.
        step: Index of the backward; None for the last kept one that reaches ``to``.
        files: Files to write.
        max_nodes: Boxes of the picture, about.
    """

    to: str = ""
    step: int | None = None
    files: tuple[Path, ...] = field(default=())
    max_nodes: int = 80


def run_flow(job: FlowJob) -> int:
    """Do it; gives the program's own exit code, or 2 when that is 0 and there is no such way.

    Raises:
        UsageError: What was asked for cannot be done; nothing has run.
    """
    for path in job.files:
        flow_format(path)
        check_target(path)
    # The program may change directory, so paths are settled here.
    job = replace(job, files=tuple(dict.fromkeys(path.absolute() for path in job.files)))
    if job.step is not None:
        job = replace(job, capture=replace(job.capture, steps=(job.step,)))
    console = job.console()
    outcome = _Outcome()
    code = job.run(partial(_finish, job, console, outcome))
    return code or outcome.code or (1 if console.failed else 0)


@dataclass
class _Outcome:
    """What became of the question, beside the program's own end."""

    code: int = 0


def _finish(job: FlowJob, console: Console, outcome: _Outcome, trace: Trace) -> None:
    warn_unattached(trace, console)
    try:
        result = FlowResult.of(trace, job.to, job.step)
    except UsageError as error:
        console.error(str(error))
        outcome.code = _NO_WAY
        return
    try:
        _show(result, job, console)
        for path in job.files:
            _write(result, path, job, console)
    except KeyboardInterrupt:
        console.error("interrupted; what was not written yet is missing.")
        raise


def _show(result: FlowResult, job: FlowJob, console: Console) -> None:
    if job.form is None:
        if not job.quiet:
            console.say(result.as_text(console.for_people()))
        return
    try:
        if job.form == "text":
            data = result.as_text(console.for_stdout("text")).encode()
        else:
            data = result.as_format(job.form, job.max_nodes)
        console.send(data)
    except (GradscopeError, OSError) as error:
        console.error(f"could not write the {job.form} to stdout: {error}.")


def _write(result: FlowResult, path: Path, job: FlowJob, console: Console) -> None:
    try:
        write_file(path, result.as_format(flow_format(path), job.max_nodes))
    except (GradscopeError, OSError) as error:
        what = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        console.error(f"could not write {console.shown(path)}: {what.rstrip('.')}.")
    else:
        console.note(f"wrote {console.shown(path)}.")
