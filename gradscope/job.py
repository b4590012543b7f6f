"""The main job: check what was asked for, run the program, judge the trace, write the outputs.

NOTE [Whose stdout]: stdout belongs to the program. Without ``--format`` the report goes there
only on a terminal, where both streams look the same; piped or redirected, stdout holds the
program's bytes and nothing else, and the report goes to stderr. With ``--format`` the report was
asked for on stdout: then it is alone there, and what the program prints goes to stderr.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TextIO

from gradscope import launch
from gradscope.capture.options import CaptureOptions
from gradscope.diagnose.engine import diagnose
from gradscope.diagnose.registry import choose_rules
from gradscope.errors import GradscopeError
from gradscope.model.finding import Report
from gradscope.model.trace import Trace
from gradscope.output import NoGraphError, OutputOptions, Saved, check_target, format_of, save_all
from gradscope.output import render as render_report
from gradscope.render.image import fonts_available
from gradscope.render.options import RenderOptions

USAGE = 2
_DEFAULT_SUFFIXES = (".gradscope.html", ".gradscope.svg")


@dataclass(frozen=True, kw_only=True)
class RenderJob:
    """One ``gradscope render``, as asked for.

    Attributes:
        target: Path of the script, or name of the module.
        is_module: Whether it is a module.
        args: Arguments of the program.
        capture: What to see.
        outputs: Files to write; empty: the default ones, unless ``form`` is set.
        form: Format for stdout; None: the text report for people.
        select: Codes of the only rules to run; empty: all.
        ignore: Codes of rules not to run.
        depth: Deepest module shown on its own.
        max_nodes: Boxes of the picture, about.
        open_file: Whether to open the first output when all is written.
        quiet: Say nothing but errors.
        color: ``auto``, ``always`` or ``never``.
    """

    target: str
    is_module: bool = False
    args: tuple[str, ...] = ()
    capture: CaptureOptions = field(default_factory=CaptureOptions)
    outputs: tuple[Path, ...] = ()
    form: str | None = None
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    depth: int | None = None
    max_nodes: int = 150
    open_file: bool = False
    quiet: bool = False
    color: str = "auto"


def run_job(job: RenderJob) -> int:
    """Do it; gives the program's own exit code, or 1 when that is 0 and an output failed.

    Raises:
        UsageError: What was asked for cannot be done; nothing has run.
    """
    choose_rules(job.select, job.ignore)
    outputs = _targets(job)
    for path in outputs:
        check_target(path)
    # The program may change directory and replace sys.stdout, so both are settled here.
    job = replace(job, outputs=tuple(dict.fromkeys(path.absolute() for path in outputs)))
    console = _Console(job)
    run = launch.run_module if job.is_module else launch.run_script
    code = run(job.target, job.args, options=job.capture, finish=partial(_finish, job, console))
    return code or (1 if console.failed else 0)


def _targets(job: RenderJob) -> tuple[Path, ...]:
    if job.outputs or job.form is not None:
        return job.outputs
    stem = job.target if job.is_module else Path(job.target).stem
    return tuple(Path(stem + suffix) for suffix in _DEFAULT_SUFFIXES)


class _Console:
    """Where gradscope speaks, settled before the program runs."""

    def __init__(self, job: RenderJob) -> None:
        self.quiet = job.quiet
        self.failed = False
        self.err = sys.stderr
        self.folder = os.getcwd()
        self.report_to = sys.stdout if sys.stdout.isatty() else sys.stderr
        self.format_fd = _take_stdout() if job.form is not None else None

    def shown(self, path: Path) -> str:
        """The path as seen from where the command was given, when it is below."""
        return str(path.relative_to(self.folder)) if path.is_relative_to(self.folder) else str(path)

    def note(self, text: str) -> None:
        if not self.quiet:
            _write(self.err, f"gradscope: {text}\n")

    def error(self, text: str) -> None:
        self.failed = True
        _write(self.err, f"gradscope: {text}\n")

    def progress(self, text: str) -> Callable[[], None]:
        """Show a line that goes away; on a terminal only."""
        if self.quiet or not self.err.isatty():
            return lambda: None
        _write(self.err, f"gradscope: {text}")
        return partial(_write, self.err, "\r\x1b[K")


def _take_stdout() -> int:
    """Keep stdout for the report and send everything else that goes there to stderr."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    return kept


def _write(stream: TextIO, text: str) -> None:
    try:
        stream.write(text)
        stream.flush()
    except UnicodeEncodeError:
        stream.write(text.encode("ascii", "backslashreplace").decode())
    except (OSError, ValueError):
        return  # closed by the program, or nobody reads


def _finish(job: RenderJob, console: _Console, trace: Trace) -> None:
    try:
        report = diagnose(trace, select=job.select, ignore=job.ignore)
        _show(report, job, console)
        _save(report, job, console)
    except KeyboardInterrupt:
        console.error("interrupted; what was not written yet is missing.")
        raise


def _show(report: Report, job: RenderJob, console: _Console) -> None:
    if console.format_fd is not None and job.form is not None:
        _send(report, job, console, console.format_fd)
    elif not job.quiet:
        stream = console.report_to
        text = render_report(report, "text", _options(job, _for_terminal(job, stream)))
        _write(stream, text.decode("utf-8"))


def _send(report: Report, job: RenderJob, console: _Console, fd: int) -> None:
    """Write the asked-for format to what was the program's stdout."""
    form = str(job.form)
    options = _for_terminal(job, None) if form == "text" else RenderOptions()
    try:
        data = render_report(report, form, _options(job, options))
        with open(fd, "wb") as out:
            out.write(data)
    except NoGraphError as error:
        console.note(f"{error}.")
    except (GradscopeError, OSError) as error:
        console.error(f"could not write the {form} to stdout: {error}.")


def _options(job: RenderJob, text: RenderOptions) -> OutputOptions:
    return OutputOptions(depth=job.depth, max_nodes=job.max_nodes, text=text)


def _for_terminal(job: RenderJob, stream: TextIO | None) -> RenderOptions:
    on_terminal = stream is not None and stream.isatty()
    plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    color = job.color == "always" or (job.color == "auto" and on_terminal and not plain)
    encoding = (stream.encoding if stream is not None else "utf-8") or "ascii"
    width = shutil.get_terminal_size((100, 24)).columns
    return RenderOptions(width=width, color=color, unicode=encoding.lower().startswith("utf"))


def _save(report: Report, job: RenderJob, console: _Console) -> None:
    done: list[Saved] = []
    erase = console.progress("drawing and writing …")
    for saved in save_all(report, job.outputs, _options(job, RenderOptions())):
        erase()
        if saved.error is None:
            done.append(saved)
        else:
            _explain(saved, saved.error, console)
    erase()
    if done:
        console.note(f"wrote {_listed(done, console)}.")
    if any(format_of(s.path) in ("png", "pdf") for s in done) and not fonts_available():
        console.note("no font was found, so PNG and PDF show boxes for letters; SVG needs none.")
    if job.open_file and done:
        _open(done[0].path, console)


def _listed(done: Sequence[Saved], console: _Console) -> str:
    names = [console.shown(s.path) + (" (replaced)" if s.replaced else "") for s in done]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _explain(saved: Saved, error: Exception, console: _Console) -> None:
    name = console.shown(saved.path)
    if isinstance(error, NoGraphError):
        stale = "; the file there is from an earlier run" if saved.replaced else ""
        console.note(f"{name} was not written: {error}{stale}.")
        return
    what = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    known = isinstance(error, GradscopeError | OSError)
    bug = "" if known else f" (a mistake in gradscope: {type(error).__name__})"
    console.error(f"could not write {name}: {what.rstrip('.')}{bug}.")


def _open(path: Path, console: _Console) -> None:
    import click

    if click.launch(str(path)) != 0:
        console.note(f"found nothing to open {console.shown(path)} with.")
