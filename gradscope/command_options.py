"""Options and arguments that several commands take, and how a program's own are told from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

import click
from click.core import ParameterSource

from gradscope.capture.options import LEVELS, CaptureOptions
from gradscope.config import COLORS, find_defaults, parse_budget, parse_codes, parse_steps
from gradscope.errors import GradscopeError, UsageError
from gradscope.saving import Target, target_of

_CAPTURE = ("level", "every", "steps", "budget", "verify_functions")

C = TypeVar("C", bound=Callable[..., Any])


class ProgramCommand(click.Command):
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


class _Output(click.ParamType["Target"]):
    """A file, or a folder where the text ends in a slash or names one."""

    name = "path"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Target:
        """What the text names."""
        return target_of(str(value))


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


def _several(*options: Callable[[Any], Any]) -> Callable[[C], C]:
    def decorate(command: C) -> C:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def output_option(help_text: str) -> Callable[[C], C]:
    """``-o PATH``, repeatable."""
    return click.option(
        "-o", "outputs", multiple=True, type=_Output(), metavar="PATH", help=help_text
    )


def format_option(choices: Sequence[str], default: str = "") -> Callable[[C], C]:
    """``--format NAME``."""
    return click.option(
        "--format",
        "form",
        type=click.Choice(choices),
        help="Print this to stdout, alone: what the program prints goes to stderr." + default,
    )


program_arguments = _several(
    click.argument("script", required=False, metavar="SCRIPT"),
    click.argument("args", nargs=-1, type=click.UNPROCESSED, metavar="[ARGS]..."),
    click.option("-m", "module", metavar="MODULE", help="Run a module, as python -m does."),
)

capture_options = _several(
    click.option(
        "--level", type=click.Choice(LEVELS), help="Finest level of capture; default ops."
    ),
    click.option(
        "--every",
        type=click.IntRange(min=1),
        metavar="N",
        help="See every N-th step at that level, the others as parameters only.",
    ),
    click.option(
        "--steps",
        callback=_parsed(parse_steps),
        metavar="LIST",
        help="See exactly these steps, such as 0,10,-1; negative ones count from the end.",
    ),
    click.option(
        "--budget",
        callback=_parsed(parse_budget),
        metavar="SHARE",
        help="Share of the run's time to spend, such as 10%, once the first steps are seen.",
    ),
    click.option(
        "--verify-functions",
        is_flag=True,
        help="When the run is over, compare the backward of every custom autograd.Function with "
        "the finite difference of its forward, on copies of the inputs it met.",
    ),
)

rule_options = _several(
    click.option(
        "--select",
        callback=_parsed(parse_codes),
        metavar="CODES",
        help="Only these rules, such as GS101,GS4.",
    ),
    click.option("--ignore", callback=_parsed(parse_codes), metavar="CODES", help="Not these."),
)

color_option = click.option(
    "--color", type=click.Choice(COLORS), default="auto", show_default=True, help="Use colours."
)


def job_fields(
    ctx: click.Context,
    script: str | None,
    module: str | None,
    args: tuple[str, ...],
    options: dict[str, object],
) -> dict[str, Any]:
    """The fields of a job from a command's parameters and the defaults in pyproject.toml.

    Raises:
        click.UsageError: No program is named.
        UsageError: The defaults are not usable.
    """
    if module is not None:
        args = args if script is None else (script, *args)
    target = module if module is not None else script
    if target is None:
        raise click.UsageError("name a script, or a module with -m.")
    for name, value in find_defaults(_current_folder()).items():
        if name in options and ctx.get_parameter_source(name) is ParameterSource.DEFAULT:
            options[name] = value
    capture = {name: options.pop(name) for name in _CAPTURE if name in options}
    given = {name: value for name, value in capture.items() if value is not None}
    return {
        "target": target,
        "is_module": module is not None,
        "args": args,
        "capture": CaptureOptions(**cast("dict[str, Any]", given)),
        **{name: value for name, value in options.items() if value is not None},
    }


def _current_folder() -> Path:
    try:
        return Path.cwd()
    except OSError:
        raise UsageError("the current folder is gone; change to another one.") from None
