"""``%%gradscope``: runs a notebook cell under a trace and shows the report below it.

NOTE [The cell's own traceback] An exception leaves the magic as it came, so that the cell fails and
the notebook stops. IPython would show its own frames and ours around the user's; it asks the
exception first how it wants to be shown, and is given the traceback from the user's frame on.
"""

from __future__ import annotations

import ast
import shlex
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import click

from gradscope.capture.cells import shown_file
from gradscope.capture.options import CaptureOptions
from gradscope.cli import render as render_command
from gradscope.crash import clean_traceback
from gradscope.diagnose.registry import choose_rules
from gradscope.errors import GradscopeError
from gradscope.integrations.display import inline_svg
from gradscope.output import PICTURES, OutputOptions, render
from gradscope.render.options import RenderOptions
from gradscope.render.safe import LIST_LIMIT, visible
from gradscope.saving import Target, check_output, listed, save_all
from gradscope.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_NOT_OF_A_CELL = frozenset({"script", "args", "module", "open_file"})
_CAPTURE = ("level", "every", "steps", "budget", "verify_functions")
_NAME = "%%gradscope"


@dataclass(frozen=True, kw_only=True)
class _CellJob:
    """What was asked for on the magic's line."""

    capture: CaptureOptions = field(default_factory=CaptureOptions)
    outputs: tuple[Target, ...] = ()
    form: str | None = None
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    output: OutputOptions = field(default_factory=OutputOptions)
    quiet: bool = False


def register(shell: Any) -> None:
    """Adds the cell magic to an IPython shell."""

    def gradscope(line: str, cell: str) -> None:
        """Run the cell under a gradscope trace and show what became of its gradients.

        Takes the options of ``gradscope render``; ``%%gradscope --help`` lists them.
        """
        _run(shell, line, cell)

    shell.register_magic_function(gradscope, "cell", "gradscope")


def _run(shell: Any, line: str, cell: str) -> None:
    job = _asked(line)
    if job is None:
        return
    source = _source(shell, line, cell)
    number = getattr(shell.displayhook, "prompt_count", shell.execution_count)
    name = shell.compile.cache(source, number, raw_code=source)
    codes = _codes(shell, source, name)
    session = Session(job.capture, target=shown_file(name), select=job.select, ignore=job.ignore)
    try:
        with session:
            for code in codes:
                exec(code, shell.user_global_ns, shell.user_ns)
    except BaseException as error:
        with suppress(Exception):
            _keep_traceback(shell, error)
        _tell(session, job)
        raise
    _tell(session, job)


def _asked(line: str) -> _CellJob | None:
    """The job; None after help or one sentence about a mistake."""
    try:
        return _parsed(line)
    except click.exceptions.Exit:  # after --help
        return None
    except (click.ClickException, GradscopeError, ValueError) as error:
        said = error.format_message() if isinstance(error, click.ClickException) else str(error)
        print(f"{_NAME}: {visible(said, LIST_LIMIT)}", file=sys.stderr)
        return None


def _parsed(line: str) -> _CellJob:
    params = [p for p in render_command.params if p.name not in _NOT_OF_A_CELL]
    command = click.Command(
        _NAME, params=params, help="Run the cell under a gradscope trace, then show the report."
    )
    given = command.make_context(_NAME, shlex.split(line)).params
    capture = {name: given[name] for name in _CAPTURE if given.get(name) is not None}
    choose_rules(given["select"] or (), given["ignore"] or ())
    for target in given["outputs"]:
        check_output(target)
    return _CellJob(
        capture=CaptureOptions(**capture),
        outputs=given["outputs"],
        form=given["form"],
        select=tuple(given["select"] or ()),
        ignore=tuple(given["ignore"] or ()),
        output=OutputOptions(
            depth=given["depth"], max_nodes=given["max_nodes"], text=RenderOptions(width=100)
        ),
        quiet=given["quiet"],
    )


def _source(shell: Any, line: str, cell: str) -> str:
    """The cell as Python; the magic's line stays as a comment, so that line numbers are right."""
    return f"#{_NAME} {line.strip()}\n{shell.transform_cell(cell)}"


def _codes(shell: Any, source: str, name: str) -> list[Any]:
    """The cell compiled: its statements, then its last expression, whose value is shown.

    Raises:
        CellSyntaxError: It is not valid Python.
    """
    try:
        tree = shell.transform_ast(ast.parse(source, name))
        last = tree.body[-1] if tree.body else None
        if not isinstance(last, ast.Expr) or shell.ast_node_interactivity == "none":
            return [shell.compile(tree, name, "exec")]
        before = ast.Module(tree.body[:-1], tree.type_ignores)
        shown = ast.Interactive([last])
        return [shell.compile(before, name, "exec"), shell.compile(shown, name, "single")]
    except SyntaxError as error:
        lines = shell.SyntaxTB.structured_traceback(SyntaxError, error, [])
        raise CellSyntaxError(str(error), lines) from None


class CellSyntaxError(Exception):
    """A cell that is not valid Python; shows itself as IPython shows a SyntaxError."""

    def __init__(self, message: str, lines: list[str]) -> None:
        super().__init__(message)
        self._lines = lines

    def _render_traceback_(self) -> list[str]:
        return self._lines


def _keep_traceback(shell: Any, error: BaseException) -> None:
    """See NOTE [The cell's own traceback]."""
    clean_traceback(error)
    if error.__traceback__ is None:
        return
    lines = shell.InteractiveTB.structured_traceback(
        type(error), error, error.__traceback__, tb_offset=0
    )
    vars(error)["_render_traceback_"] = lambda: lines


def _tell(session: Session, job: _CellJob) -> None:
    """Writes what was asked for and shows the report; its failure is no failure of the cell."""
    try:
        _write(session, job)
        if job.form is not None:
            _show_format(session, job.form, job.output)
        elif not job.quiet:
            _display(session)
    except (GradscopeError, OSError) as error:
        print(f"{_NAME}: {visible(str(error), LIST_LIMIT)}", file=sys.stderr)


def _write(session: Session, job: _CellJob) -> None:
    done = []
    for saved in save_all(session.judged, job.outputs, job.output):
        if saved.error is None:
            done.append(saved)
        else:
            why = visible(str(saved.error), LIST_LIMIT)
            print(f"{_NAME}: could not write {_shown(saved.path)}: {why}", file=sys.stderr)
    if done and not job.quiet:
        print(f"{_NAME}: wrote {listed(done, _shown)}.")


def _shown(path: Path) -> str:
    return visible(str(path), LIST_LIMIT)


def _show_format(session: Session, form: str, options: OutputOptions) -> None:
    data = render(session.judged, form, options)
    if form == "png":
        _display({"image/png": data}, raw=True)
    elif form in PICTURES and form not in ("dot", "pdf"):
        _display({"text/html": inline_svg(data.decode())}, raw=True)
    elif form == "html":
        _display(session)
    else:
        print(data.decode("utf-8", "replace"), end="")


def _display(value: object, *, raw: bool = False) -> None:
    from IPython import display

    show = cast("Callable[..., None]", display.display)
    show(value, raw=raw)
