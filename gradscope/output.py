"""From a report to files: suffix → format → renderer → a file that is whole or not there."""

from __future__ import annotations

import base64
import os
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

from gradscope.analysis.flags import flagged_nodes
from gradscope.analysis.fold import fold
from gradscope.errors import GradscopeError, ImageError, UsageError
from gradscope.model.finding import Finding, Report
from gradscope.model.trace import Trace
from gradscope.render.dot import PictureOptions, to_dot
from gradscope.render.html_edge import html_page
from gradscope.render.image import Format, render_image
from gradscope.render.json import render_json
from gradscope.render.markdown import render_markdown
from gradscope.render.options import RenderOptions
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
}
PICTURES = ("svg", "png", "pdf", "dot")
FORMATS = tuple(SUFFIXES.values())
_TEXTS: dict[str, Callable[[Report, RenderOptions], str]] = {
    "html": html_page,
    "markdown": render_markdown,
    "text": render_text,
    "json": render_json,
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
    """

    depth: int | None = None
    max_nodes: int = 150
    text: RenderOptions = field(default_factory=RenderOptions)


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
    if _is_regular(path):
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
        return dot.encode() if form == "dot" else render_image(dot, cast("Format", form))
    text = _TEXTS[form](report, options.text)
    return text.encode("utf-8", "backslashreplace")


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


def save(
    report: Report, path: str | os.PathLike[str], options: OutputOptions | None = None
) -> None:
    """Write the report to one file in the format of its suffix.

    Raises:
        UsageError: The suffix stands for no format, or the file cannot be there.
        NoGraphError: A picture of a run that left no graph.
        ImageError: Graphviz could not draw it.
        OSError: Writing failed.
    """
    target = Path(path)
    check_target(target)
    for result in save_all(report, [target], options or OutputOptions()):
        if result.error is not None:
            raise result.error


@dataclass(frozen=True)
class Saved:
    """What became of one output.

    Attributes:
        path: Where it was to go.
        error: Why it is not there; None when it is.
        replaced: Whether a file was there before.
    """

    path: Path
    error: Exception | None = None
    replaced: bool = False


def save_all(report: Report, paths: Sequence[Path], options: OutputOptions) -> Iterator[Saved]:
    """Write every file, pictures first; one that fails does not keep the others from being."""
    picture: Path | None = None
    for path in sorted(paths, key=lambda path: format_of(path) == "markdown"):
        form = format_of(path)
        existed = path.exists()
        try:
            image = _image_for(path, picture, report, options) if form == "markdown" else None
            text = replace(options.text, image=image)
            write_file(path, render(report, form, replace(options, text=text)))
        except Exception as error:
            yield Saved(path, error, existed)
            continue
        if form in ("svg", "png"):
            picture = picture or path
        yield Saved(path, None, existed)


def _image_for(
    path: Path, picture: Path | None, report: Report, options: OutputOptions
) -> str | None:
    """The Markdown's picture: a link to the file beside it, else the SVG itself."""
    if picture is not None:
        return os.path.relpath(picture, path.parent)
    try:
        svg = render(report, "svg", options)
    except (NoGraphError, ImageError):
        return None
    return f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"


def write_file(path: Path, data: bytes) -> None:
    """Write all of it or leave what was there; keeps links and permissions.

    Raises:
        OSError: Writing failed.
    """
    if not _is_regular(path):
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


def _is_regular(path: Path) -> bool:
    """Whether the path is a plain file or free; not a pipe or ``/dev/stdout``."""
    return path.is_file() or not path.exists()


def _with_consequences(findings: Iterable[Finding]) -> list[Finding]:
    found = list(findings)
    for finding in found:
        found.extend(finding.consequences)
    return found
