"""The main job: check what was asked for, run the program, judge the trace, write the outputs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from gradscope import launch
from gradscope.capture.options import CaptureOptions
from gradscope.console import Console
from gradscope.diagnose.engine import diagnose
from gradscope.diagnose.registry import choose_rules
from gradscope.errors import GradscopeError
from gradscope.explanation import explanation
from gradscope.findings_so_far import FindingsSoFar
from gradscope.model.finding import Report
from gradscope.model.trace import Trace
from gradscope.output import NoGraphError, OutputOptions, format_of
from gradscope.output import render as render_report
from gradscope.progress import ProgressLine
from gradscope.render.image import fonts_available
from gradscope.render.options import RenderOptions
from gradscope.render.safe import PROSE_LIMIT, visible
from gradscope.saving import Saved, Target, check_output, listed, save_all

USAGE = 2
_DEFAULT_SUFFIXES = (".gradscope.html", ".gradscope.svg")


@dataclass(frozen=True, kw_only=True)
class ProgramJob:
    """A program to run and judge, as asked for.

    Attributes:
        target: Path of the script, or name of the module.
        is_module: Whether it is a module.
        args: Arguments of the program.
        capture: What to see.
        outputs: Files and folders to write.
        form: Format for stdout, alone there; None: the one for people.
        select: Codes of the only rules to run; empty: all.
        ignore: Codes of rules not to run.
        quiet: Say nothing but errors.
        color: ``auto``, ``always`` or ``never``.
    """

    target: str
    is_module: bool = False
    args: tuple[str, ...] = ()
    capture: CaptureOptions = field(default_factory=CaptureOptions)
    outputs: tuple[Target, ...] = ()
    form: str | None = None
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    quiet: bool = False
    color: str = "auto"

    @property
    def shows_notes(self) -> bool:
        """Whether what gradscope says to people includes the notes on the run."""
        return not self.quiet and self.form is None

    def console(self) -> Console:
        """Where to speak; made before the program runs."""
        return Console(quiet=self.quiet, alone=self.form is not None, color=self.color)

    def run(self, finish: launch.Finish) -> int:
        """Runs the program; gives its exit code."""
        run = launch.run_module if self.is_module else launch.run_script
        if self.quiet:
            return run(self.target, self.args, options=self.capture, finish=finish)
        findings = FindingsSoFar(self.select, self.ignore)
        with closing(ProgressLine(sys.stderr, (sys.stdout,), findings=findings)) as line:

            def finish_below(trace: Trace) -> None:
                line.close()
                finish(trace)

            def explain(trace: Trace) -> str:
                line.close()
                return explanation(trace, select=self.select, ignore=self.ignore)

            options = replace(self.capture, on_step=line)
            given = (self.target, self.args)
            return run(
                *given,
                options=options,
                finish=finish_below,
                explain=explain,
                attached=findings.attach,
            )


@dataclass(frozen=True, kw_only=True)
class RenderJob(ProgramJob):
    """One ``gradscope render``, as asked for; without outputs and ``form`` it writes two files.

    Attributes:
        depth: Deepest module shown on its own.
        max_nodes: Boxes of the picture, about.
        open_file: Whether to open the first output when all is written.
    """

    depth: int | None = None
    max_nodes: int = 150
    open_file: bool = False


def run_job(job: RenderJob) -> int:
    """Do it; gives the program's own exit code, or 1 when that is 0 and an output failed.

    Raises:
        UsageError: What was asked for cannot be done; nothing has run.
    """
    choose_rules(job.select, job.ignore)
    # The program may change directory and replace sys.stdout, so both are settled here.
    job = replace(job, outputs=settled(_targets(job)))
    console = job.console()
    code = job.run(partial(_finish, job, console))
    return code or (1 if console.failed else 0)


def settled(targets: Sequence[Target]) -> tuple[Target, ...]:
    """The outputs with absolute paths, each once.

    Raises:
        UsageError: One of them cannot be written.
    """
    for target in targets:
        check_output(target)
    return tuple(dict.fromkeys(target.absolute() for target in targets))


def _targets(job: RenderJob) -> tuple[Target, ...]:
    if job.outputs or job.form is not None:
        return job.outputs
    stem = job.target if job.is_module else Path(job.target).stem
    return tuple(Path(stem + suffix) for suffix in _DEFAULT_SUFFIXES)


def _finish(job: RenderJob, console: Console, trace: Trace) -> None:
    try:
        if not job.shows_notes:
            warn_unattached(trace, console)
        report = diagnose(trace, select=job.select, ignore=job.ignore)
        _show(report, job, console)
        done = save_outputs(report, job.outputs, _options(job, console.for_files()), console)
    except KeyboardInterrupt:
        console.error("interrupted; what was not written yet is missing.")
        raise
    if job.open_file and done:
        _open(done[0].path, console)


def _show(report: Report, job: RenderJob, console: Console) -> None:
    if job.form is not None:
        send_format(report, job.form, _options(job, console.for_stdout(job.form)), console)
    elif not job.quiet:
        options = _options(job, console.for_people())
        console.say(render_report(report, "text", options).decode("utf-8"))


def is_unattached(trace: Trace) -> bool:
    """Whether nothing of the program could be seen."""
    return bool(_unattached(trace))


def _unattached(trace: Trace) -> list[str]:
    return [note for note in trace.notes if note.startswith(launch.NOT_ATTACHED)]


def warn_unattached(trace: Trace, console: Console) -> None:
    """Says that nothing could be seen: without that, a report looks like a clean bill."""
    for note in _unattached(trace):
        console.warning(visible(note.removeprefix("gradscope "), PROSE_LIMIT))


def send_format(
    report: Report, form: str, options: OutputOptions, console: Console, tail: str = ""
) -> None:
    """Write the asked-for format, and a tail behind it, to what was the program's stdout."""
    try:
        console.send(render_report(report, form, options) + tail.encode())
    except NoGraphError as error:
        console.warning(f"{error}.")
    except (GradscopeError, OSError) as error:
        console.error(f"could not write the {form} to stdout: {error}.")


def _options(job: RenderJob, text: RenderOptions) -> OutputOptions:
    return OutputOptions(depth=job.depth, max_nodes=job.max_nodes, text=text)


def save_outputs(
    report: Report, targets: Sequence[Target], options: OutputOptions, console: Console
) -> list[Saved]:
    """Write the files and say so; gives those that are there now."""
    if not targets:
        return []
    done: list[Saved] = []
    console.progress("drawing and writing …")
    options = replace(options, say=lambda what: console.progress(f"drawing and writing {what} …"))
    for saved in save_all(report, targets, options):
        console.erase()
        if saved.error is None:
            done.append(saved)
        else:
            _explain(saved, saved.error, console)
    console.erase()
    if done:
        console.note(f"wrote {listed(done, console.shown)}.")
    if any(format_of(s.path) in ("png", "pdf") for s in done) and not fonts_available():
        console.note("no font was found, so PNG and PDF show boxes for letters; SVG needs none.")
    return done


def _explain(saved: Saved, error: Exception, console: Console) -> None:
    name = console.shown(saved.path)
    if isinstance(error, NoGraphError):
        stale = "; the file there is from an earlier run" if saved.replaced else ""
        # A folder holds what there is; a file that was asked for by name is missed.
        tell = console.warning if saved.folder is None else console.note
        tell(f"{name} was not written: {error}{stale}.")
        return
    what = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    known = isinstance(error, GradscopeError | OSError)
    bug = "" if known else f" (a mistake in gradscope: {type(error).__name__})"
    console.error(f"could not write {name}: {what.rstrip('.')}{bug}.")


def _open(path: Path, console: Console) -> None:
    import click

    if click.launch(str(path)) != 0:
        console.note(f"found nothing to open {console.shown(path)} with.")
