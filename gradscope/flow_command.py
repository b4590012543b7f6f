"""``gradscope flow`` on the command line: parse, and hand over to the job."""

from __future__ import annotations

from pathlib import Path

import click

from gradscope.command_options import (
    ProgramCommand,
    color_option,
    job_fields,
    program_arguments,
)
from gradscope.flow_job import FLOW_FORMATS, FlowJob


@click.command(
    cls=ProgramCommand,
    short_help="Run SCRIPT, show one gradient's way through it.",
    no_args_is_help=True,
    context_settings={"allow_interspersed_args": False},
    options_metavar="--to NAME [OPTIONS]",
)
@program_arguments
@click.option(
    "--to",
    "to",
    required=True,
    metavar="NAME",
    help="A parameter, an input or a variable, in full or by its end: net.fc1.weight, fc1.weight, "
    "x, h; h#3 is the third result that is called h.",
)
@click.option(
    "--step",
    type=int,
    metavar="N",
    help="Which backward, counted from 0; negative ones count from the end. Default: the last one "
    "that reaches NAME.",
)
@click.option(
    "-o",
    "files",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Write there; the suffix chooses the format: .svg .png .pdf .dot .txt .md .json. "
    "Repeatable.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(FLOW_FORMATS),
    help="Print this to stdout, alone: what the program prints goes to stderr.",
)
@click.option(
    "--max-nodes",
    type=click.IntRange(min=1),
    default=80,
    show_default=True,
    metavar="N",
    help="Fold the picture to about this many boxes.",
)
@click.option("-q", "--quiet", is_flag=True, help="Write files only; say nothing but errors.")
@color_option
@click.pass_context
def flow(
    ctx: click.Context,
    /,
    script: str | None,
    module: str | None,
    args: tuple[str, ...],
    **options: object,
) -> FlowJob:
    """Run SCRIPT with its ARGS and show the gradient's way from the loss to NAME.

    Op by op: what each does to the gradient, at which line. For graphs of single numbers it is
    the chain rule with the numbers filled in. Options end at the script's name; what follows is
    the script's own. The exit code is the script's own too, or 2 when there is no such way.
    Of the defaults in [tool.gradscope] it takes max-nodes, quiet and color.
    """
    return FlowJob(**job_fields(ctx, script, module, args, options))
