"""From a report to files: suffix → format → renderer → a file that is whole or not there."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import cast

from gradscope.analysis.flags import flagged_nodes
from gradscope.analysis.fold import fold
from gradscope.diagnose.registry import rule_texts
from gradscope.errors import GradscopeError, UsageError
from gradscope.model.finding import Finding, Report
from gradscope.model.trace import Trace
from gradscope.render.concise import render_concise, render_full, render_github
from gradscope.render.dot import PictureOptions, to_dot
from gradscope.render.html_edge import html_page
from gradscope.render.image import LIMIT_S, Format, render_image
from gradscope.render.json import render_json
from gradscope.render.markdown import render_markdown
from gradscope.render.options import RenderOptions
from gradscope.render.sarif import render_sarif
from gradscope.render.summary import chosen_graph, target_name
from gradscope.render.text import render_text
from gradscope.render.units import format_number

SUFFIXES = {
    ".html": "html",
    ".svg": "svg",
    ".png": "png",
    ".pdf": "pdf",
    ".dot": "dot",
    ".md": "markdown",
    ".txt": "text",
    ".json": "json",
    ".sarif": "sarif",
}
PICTURES = ("svg", "png", "pdf", "dot")
FORMATS = tuple(SUFFIXES.values())
CHECK_FORMATS = ("concise", "full", "text", "json", "github", "sarif")
_TEXTS: dict[str, Callable[[Report, RenderOptions], str]] = {
    "markdown": render_markdown,
    "text": render_text,
    "json": render_json,
    "sarif": lambda report, options: render_sarif(report, options, rule_texts()),
    "concise": render_concise,
    "full": render_full,
    "github": render_github,
}


class NoGraphError(GradscopeError):
    """A picture was asked for, and the run left no graph to draw."""


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """What the user may vary about the outputs.

    Attributes:
        depth: Fold modules below this depth; None: only as far as ``max_nodes`` asks for.
        max_nodes: Boxes of a picture, about.
        text: For the text, Markdown and JSON reports.
        say: Called with a few words on what is being drawn or written.
    """

    depth: int | None = None
    max_nodes: int = 150
    text: RenderOptions = field(default_factory=RenderOptions)
    say: Callable[[str], None] = field(default=lambda _: None, compare=False)


def format_of(path: str | Path) -> str:
    """The format that the path's suffix stands for.

    Raises:
        UsageError: The suffix stands for none.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        what = f"the suffix {suffix!r} of {str(path)!r}" if suffix else f"{str(path)!r}, no suffix,"
        raise UsageError(f"{what} stands for no format; use one of {' '.join(SUFFIXES)}.")
    return SUFFIXES[suffix]


def check_target(path: Path) -> None:
    """Find out before a long run whether the file can be written after it.

    Raises:
        UsageError: Its suffix or its place is not usable; says why.
    """
    format_of(path)
    if path.is_dir():
        raise UsageError(f"{str(path)!r} is a folder, not a file to write.")
    if not path.parent.is_dir():
        raise UsageError(f"cannot write {str(path)!r}: there is no folder {str(path.parent)!r}.")
    if path.exists() and not os.access(path, os.W_OK):
        raise UsageError(f"cannot write {str(path)!r}: permission denied.")
    if is_regular(path):
        try:
            with tempfile.TemporaryFile(dir=path.parent):
                pass
        except OSError as error:
            raise UsageError(f"cannot write {str(path)!r}: {error.strerror}.") from error


def render(report: Report, form: str, options: OutputOptions) -> bytes:
    """The report in one format.

    Raises:
        NoGraphError: A picture of a run that left no graph.
        ImageError: Graphviz could not draw it.
    """
    if form in PICTURES:
        dot = draw(report, options)
        if form == "dot":
            return dot.encode()
        return render_image(dot, cast("Format", form), tell=partial(_tell_slow, options))
    if form == "html":
        text = html_page(report, options.text, options.say)
    else:
        text = _TEXTS[form](report, options.text)
    return text.encode("utf-8", "backslashreplace")


def _tell_slow(options: OutputOptions, seconds: float) -> None:
    options.say(f"the graph, {seconds:.0f} s of at most {LIMIT_S:.0f} s")


def draw(report: Report, options: OutputOptions) -> str:
    """The report's graph in the DOT language, folded to fit.

    Raises:
        NoGraphError: The run left no graph.
    """
    chosen = chosen_graph(report, options.text.step)
    if chosen is None:
        raise NoGraphError("no graph was recorded, so there is nothing to draw")
    trace = report.trace
    findings = _with_consequences(report.findings)
    keep = frozenset(flagged_nodes(chosen.graph, findings, trace.parameters, chosen.step))
    folded = fold(chosen.graph, max_nodes=options.max_nodes, depth=options.depth, keep=keep)
    picture = PictureOptions(
        title=target_name(trace), subtitle=_subtitle(trace, chosen.step), step=chosen.step
    )
    return to_dot(chosen.graph, folded, picture, findings=findings, parameters=trace.parameters)


def _subtitle(trace: Trace, index: int | None) -> str:
    step = next((step for step in trace.steps if step.index == index), None)
    if step is None:
        return ""
    loss = f", loss {format_number(step.loss)}" if step.loss is not None else ""
    return f"step {step.index} of {len(trace.steps)}{loss}"


def write_file(path: Path, data: bytes) -> None:
    """Write all of it or leave what was there; keeps links and permissions.

    Raises:
        OSError: Writing failed.
    """
    if not is_regular(path):
        path.write_bytes(data)
        return
    target = Path(os.path.realpath(path))
    draft = target.with_name(f".gradscope-{os.getpid()}.tmp")
    try:
        draft.write_bytes(data)
        if target.exists():
            draft.chmod(stat.S_IMODE(target.stat().st_mode))
        draft.replace(target)
    finally:
        with suppress(OSError):
            draft.unlink()


def is_regular(path: Path) -> bool:
    """Whether the path is a plain file or free; not a pipe or ``/dev/stdout``."""
    return path.is_file() or not path.exists()


def _with_consequences(findings: Iterable[Finding]) -> list[Finding]:
    found = list(findings)
    for finding in found:
        found.extend(finding.consequences)
    return found
