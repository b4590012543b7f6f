"""``gradscope check``: run the program, print what is wrong, exit as a linter does."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import partial

from gradscope.analysis.errors import explaining
from gradscope.config import SEVERITIES
from gradscope.console import Console
from gradscope.diagnose.engine import diagnose
from gradscope.diagnose.registry import choose_rules
from gradscope.job import (
    ProgramJob,
    is_unattached,
    save_outputs,
    send_format,
    settled,
    warn_unattached,
)
from gradscope.launch import INTERRUPTED
from gradscope.model.finding import Report, Severity
from gradscope.model.trace import Trace
from gradscope.output import OutputOptions
from gradscope.output import render as render_report
from gradscope.render.concise import summary_line
from gradscope.render.safe import PROSE_LIMIT, visible

CLEAN, FOUND, FAILED = 0, 1, 3
_FOR_PEOPLE = ("concise", "full")


@dataclass(frozen=True, kw_only=True)
class CheckJob(ProgramJob):
    """One ``gradscope check``, as asked for; without outputs nothing is written to disk.

    Attributes:
        fail_on: Least severity that makes the exit code 1.
    """

    fail_on: Severity = "warning"


@dataclass
class _Outcome:
    """The verdicts, once there are any; None where the program did not get as far as a trace."""

    report: Report | None = None


def run_check(job: CheckJob) -> int:
    """Do it; gives 0 for clean, 1 for findings, 3 for a program that failed without a reason.

    Raises:
        UsageError: What was asked for cannot be done; nothing has run.
    """
    choose_rules(job.select, job.ignore)
    job = replace(job, outputs=settled(job.outputs))
    console = job.console()
    outcome = _Outcome()
    code = job.run(partial(_finish, job, console, outcome))
    if code == INTERRUPTED:
        return code
    failed = code != 0 or (outcome.report is not None and is_unattached(outcome.report.trace))
    result = exit_code(outcome.report, failed=failed, fail_on=job.fail_on)
    return result or (FOUND if console.failed else CLEAN)


def exit_code(report: Report | None, *, failed: bool, fail_on: Severity) -> int:
    """What the run comes to.

    Args:
        report: None where the program did not get as far as a trace.
        failed: Whether the program itself ended with an error, or could not be looked at.
        fail_on: Least severity that counts.
    """
    findings = report.findings if report is not None else ()
    if failed:
        explained = report is not None and explaining(report) is not None
        return FOUND if explained else FAILED
    counted = SEVERITIES[: SEVERITIES.index(fail_on) + 1]
    return FOUND if any(finding.severity in counted for finding in findings) else CLEAN


def _finish(job: CheckJob, console: Console, outcome: _Outcome, trace: Trace) -> None:
    try:
        if not job.shows_notes:
            warn_unattached(trace, console)
        report = outcome.report = diagnose(trace, select=job.select, ignore=job.ignore)
        _show(report, job, console)
        options = OutputOptions(text=console.for_files())
        save_outputs(report, job.outputs, options, console)
    except KeyboardInterrupt:
        console.error("interrupted; what was not written yet is missing.")
        raise


def _show(report: Report, job: CheckJob, console: Console) -> None:
    """Findings go where the report of ``render`` goes; see NOTE [Whose stdout]."""
    form = job.form or "concise"
    tail = _tail(report, job) if form in _FOR_PEOPLE else ""
    if job.form is None:
        options = OutputOptions(text=console.for_people())
        console.say(render_report(report, form, options).decode("utf-8") + tail)
        return
    text = console.for_stdout(form)
    if form == "github":
        text = replace(text, folder=os.environ.get("GITHUB_WORKSPACE") or text.folder)
    send_format(report, form, OutputOptions(text=text), console, tail=tail)


def _tail(report: Report, job: CheckJob) -> str:
    """The last lines for people: what a clean bill leaves out, and the sum."""
    if job.quiet:
        return ""
    notes = [*report.trace.notes, *report.notes[bool(report.ignored) :]]
    notes += [f"{s.code} failed inside gradscope: {s.reason}" for s in report.skipped if s.failed]
    lines = [f"note: {visible(note, PROSE_LIMIT)}" for note in notes]
    return "".join(f"{line}\n" for line in [*lines, summary_line(report)])
