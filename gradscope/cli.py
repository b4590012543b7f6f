"""The command line: parse, call, exit."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

import gradscope
from gradscope.check import CheckJob, run_check
from gradscope.command_options import (
    ProgramCommand,
    capture_options,
    color_option,
    format_option,
    job_fields,
    output_option,
    program_arguments,
    rule_options,
)
from gradscope.config import SEVERITIES
from gradscope.errors import UsageError
from gradscope.flow_command import flow
from gradscope.flow_job import FlowJob, run_flow
from gradscope.job import USAGE, RenderJob, run_job
from gradscope.launch import INTERRUPTED
from gradscope.output import CHECK_FORMATS, FORMATS
from gradscope.rule_pages import print_rule, print_rules

_PROGRAM = {"allow_interspersed_args": False}


def main(args: Sequence[str] | None = None) -> int:
    """Entry point; gives the exit code.

    The program runs after click has returned: its exceptions are not click's to handle, and the
    stack under it stays shallow.
    """
    try:
        result = cli.main(args, prog_name="gradscope", standalone_mode=False)
        if isinstance(result, RenderJob):
            return run_job(result)
        if isinstance(result, FlowJob):
            return run_flow(result)
        return run_check(result) if isinstance(result, CheckJob) else int(result or 0)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except UsageError as error:
        print(f"Error: {error}", file=sys.stderr)
        return USAGE
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED


@click.group(no_args_is_help=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(gradscope.__version__, prog_name="gradscope")
def cli() -> None:
    """See the gradient graph of a PyTorch training script, and what is wrong with it."""


cli.add_command(flow)


@cli.command(
    cls=ProgramCommand,
    short_help="Run SCRIPT, draw its gradient graph, report on it.",
    no_args_is_help=True,
    context_settings=_PROGRAM,
    options_metavar="[OPTIONS]",
)
@program_arguments
@output_option(
    "Write there; the suffix chooses the format: .html .svg .png .pdf .dot .md .txt .json .sarif. "
    "A folder, with a slash at its end, gets all of it. Repeatable. Default: NAME.gradscope.html "
    "and NAME.gradscope.svg in the current folder."
)
@format_option(FORMATS)
@capture_options
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
@rule_options
@click.option("--open", "open_file", is_flag=True, help="Open the first file that was written.")
@click.option("-q", "--quiet", is_flag=True, help="Write files only; say nothing but errors.")
@color_option
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
    return RenderJob(**job_fields(ctx, script, module, args, options))


@cli.command(
    cls=ProgramCommand,
    short_help="Run SCRIPT, print what is wrong, one line each.",
    no_args_is_help=True,
    context_settings=_PROGRAM,
    options_metavar="[OPTIONS]",
)
@program_arguments
@format_option(CHECK_FORMATS, " Default: concise, beside what the program prints.")
@click.option(
    "--fail-on",
    type=click.Choice(SEVERITIES),
    default="warning",
    show_default=True,
    help="Least severity that makes the exit code 1.",
)
@output_option(
    "Also write there; the suffix chooses the format, .sarif and .json among them. Repeatable. "
    "Without it nothing is written to disk."
)
@capture_options
@rule_options
@click.option("-q", "--quiet", is_flag=True, help="Print the findings and nothing else.")
@color_option
@click.pass_context
def check(
    ctx: click.Context,
    /,
    script: str | None,
    module: str | None,
    args: tuple[str, ...],
    **options: object,
) -> CheckJob:
    """Run SCRIPT with its ARGS and print what is wrong with its gradients, one line each.

    Options end at the script's name; what follows is the script's own. A comment
    "# gradscope: ignore[GS401]" on the line silences a finding. Defaults are read from
    [tool.gradscope] in the nearest pyproject.toml.

    The exit code is 0 when clean, 1 for findings at or above --fail-on or a crash that a finding
    explains, 2 when the command was not usable as given, 3 when the script failed and no finding
    explains why.
    """
    return CheckJob(**job_fields(ctx, script, module, args, options))


@cli.command(short_help="List every rule.")
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True
)
@color_option
def rules(form: str, color: str) -> None:
    """List every rule: code, name and what it says."""
    print_rules(form, color)


@cli.command(short_help="Say what a rule finds, and what to do.")
@click.argument("rule", metavar="RULE")
@color_option
def explain(rule: str, color: str) -> None:
    """Say what RULE finds, why it hurts and what to do: a code such as GS401, or a name."""
    print_rule(rule, color)
