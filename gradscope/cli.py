"""The command line: parse, call, exit."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import click
from click.core import ParameterSource

import gradscope
from gradscope.capture.options import LEVELS, CaptureOptions
from gradscope.config import COLORS, find_defaults, parse_budget, parse_codes, parse_steps
from gradscope.errors import GradscopeError, UsageError
from gradscope.job import USAGE, RenderJob, run_job
from gradscope.output import FORMATS

_CAPTURE = ("level", "every", "steps", "budget")


def main(args: Sequence[str] | None = None) -> int:
    """Entry point; gives the exit code.

    The program runs after click has returned: its exceptions are not click's to handle, and the
    stack under it stays shallow.
    """
    try:
        result = cli.main(args, prog_name="gradscope", standalone_mode=False)
        return run_job(result) if isinstance(result, RenderJob) else int(result or 0)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except UsageError as error:
        print(f"Error: {error}", file=sys.stderr)
        return USAGE
    except click.Abort:
        return 130


class _ProgramCommand(click.Command):
    """A command whose own options end where the program begins, as ``python``'s do."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse what stands before the script's or module's name; the rest is the program's."""
        end = self._after_module(args)
        if end is not None:
            args = [*args[:end], "--", *args[end:]]
        return super().parse_args(ctx, args)

    def _after_module(self, args: Sequence[str]) -> int | None:
        """Index behind the value of ``-m``; None where the program is not given by ``-m``."""
        takes_value = {
            name: not getattr(param, "is_flag", False)
            for param in self.params
            for name in (param.opts if isinstance(param, click.Option) else [])
        }
        index = 0
        while index < len(args) and args[index].startswith("-") and args[index] not in ("-", "--"):
            name, attached = _option(args[index], takes_value)
            index += 1 if attached or not takes_value.get(name, False) else 2
            if name == "-m":
                return index if index <= len(args) else None
        return None


def _option(arg: str, takes_value: dict[str, bool]) -> tuple[str, bool]:
    """The option in an argument that may take a value, and whether the value is attached."""
    if arg.startswith("--"):
        name, equals, _ = arg.partition("=")
        return name, bool(equals)
    for index, letter in enumerate(arg[1:], start=1):
        if takes_value.get(f"-{letter}", False):
            return f"-{letter}", index + 1 < len(arg)
    return arg, False


def _parsed(
    parse: Callable[[str], object],
) -> Callable[[click.Context, click.Parameter, str | None], object]:
    """An option's callback that hands its text to one of our parse functions."""

    def callback(ctx: click.Context, param: click.Parameter, value: str | None) -> object:
        try:
            return None if value is None else parse(value)
        except GradscopeError as error:
            raise click.BadParameter(str(error), ctx, param) from None

    return callback


@click.group(no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(gradscope.__version__, prog_name="gradscope")
def cli() -> None:
    """See the gradient graph of a PyTorch training script, and what is wrong with it."""


@cli.command(
    cls=_ProgramCommand,
    no_args_is_help=True,
    context_settings={"allow_interspersed_args": False},
    options_metavar="[OPTIONS]",
)
@click.argument("script", required=False, metavar="SCRIPT")
@click.argument("args", nargs=-1, type=click.UNPROCESSED, metavar="[ARGS]...")
@click.option("-m", "module", metavar="MODULE", help="Run a module, as python -m does.")
@click.option(
    "-o",
    "outputs",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Write there; the suffix chooses the format: .html .svg .png .pdf .dot .md .txt .json. "
    "Repeatable. Default: NAME.gradscope.html and NAME.gradscope.svg in the current folder.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    help="Print this to stdout, alone: what the program prints goes to stderr.",
)
@click.option("--level", type=click.Choice(LEVELS), help="Finest level of capture; default ops.")
@click.option(
    "--every",
    type=click.IntRange(min=1),
    metavar="N",
    help="See every N-th step at that level, the others as parameters only.",
)
@click.option(
    "--steps",
    callback=_parsed(parse_steps),
    metavar="LIST",
    help="See exactly these steps, such as 0,10,-1; negative ones count from the end.",
)
@click.option(
    "--budget",
    callback=_parsed(parse_budget),
    metavar="SHARE",
    help="Share of the run's time to spend, such as 10%, once the first steps are seen.",
)
@click.option(
    "--depth",
    type=click.IntRange(min=0),
    metavar="N",
    help="Draw modules below this depth as one box.",
)
@click.option(
    "--max-nodes",
    type=click.IntRange(min=1),
    default=150,
    show_default=True,
    metavar="N",
    help="Fold the picture to about this many boxes.",
)
@click.option(
    "--select",
    callback=_parsed(parse_codes),
    metavar="CODES",
    help="Only these rules, such as GS101,GS4.",
)
@click.option("--ignore", callback=_parsed(parse_codes), metavar="CODES", help="Not these.")
@click.option("--open", "open_file", is_flag=True, help="Open the first file that was written.")
@click.option("-q", "--quiet", is_flag=True, help="Write files only; say nothing but errors.")
@click.option("--color", type=click.Choice(COLORS), default="auto", show_default=True)
@click.pass_context
def render(
    ctx: click.Context,
    /,
    script: str | None,
    module: str | None,
    args: tuple[str, ...],
    **options: object,
) -> RenderJob:
    """Run SCRIPT with its ARGS, draw its gradient graph and report on it.

    Options end at the script's name; what follows is the script's own. The exit code is the
    script's own too. Defaults are read from [tool.gradscope] in the nearest pyproject.toml.
    """
    if module is not None:
        args = args if script is None else (script, *args)
    target = module if module is not None else script
    if target is None:
        raise click.UsageError("name a script, or a module with -m.")
    for name, value in find_defaults(Path.cwd()).items():
        if ctx.get_parameter_source(name) is ParameterSource.DEFAULT:
            options[name] = value
    capture = {name: options.pop(name) for name in _CAPTURE}
    given = {name: value for name, value in capture.items() if value is not None}
    return RenderJob(
        target=target,
        is_module=module is not None,
        args=args,
        capture=CaptureOptions(**cast("dict[str, Any]", given)),
        **cast("dict[str, Any]", {k: v for k, v in options.items() if v is not None}),
    )
