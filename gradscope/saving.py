"""Every output of a report: single files, Markdown with its pictures, a folder with all of it."""

from __future__ import annotations

import base64
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from gradscope.errors import ImageError, UsageError
from gradscope.model.finding import Report
from gradscope.output import (
    SUFFIXES,
    NoGraphError,
    OutputOptions,
    check_target,
    format_of,
    is_regular,
    render,
    write_file,
)
from gradscope.render.options import RenderOptions
from gradscope.render.plot_svg import pictures
from gradscope.render.plots import plots, plotted

FOLDER_FILES = (
    "index.html",
    "report.md",
    "report.txt",
    "report.json",
    "graph.svg",
    "graph.png",
    "graph.dot",
)
_PLOTS = "plots"


@dataclass(frozen=True)
class Folder:
    """A folder that gets everything there is about a run, under stable names.

    Attributes:
        path: Where; made when it is not there yet.
    """

    path: Path

    def absolute(self) -> Folder:
        """The same place, whatever the current folder becomes."""
        return Folder(self.path.absolute())


Target = Path | Folder


def target_of(text: str) -> Target:
    """What ``-o`` names: a folder when it ends in a slash or is one already, else a file.

    Raises:
        UsageError: It names nothing, as an unset variable of the shell does.
    """
    if not text:
        raise UsageError("the name of an output is empty; name a file or a folder.")
    ends = text.endswith(tuple(sep for sep in (os.sep, os.altsep) if sep))
    path = Path(text)
    if ends or (path.is_dir() and path.suffix.lower() not in SUFFIXES):
        return Folder(path)
    return path


def check_output(target: Target) -> None:
    """Find out before a long run whether the output can be written after it.

    Raises:
        UsageError: Its suffix or its place is not usable; says why.
    """
    if isinstance(target, Path):
        check_target(target)
    elif target.path.is_dir():
        for name in FOLDER_FILES:
            check_target(target.path / name)
    else:
        _check_new(target.path)


def _check_new(path: Path) -> None:
    if path.exists():
        raise UsageError(f"{str(path)!r} is a file, not a folder to write into.")
    try:
        with tempfile.TemporaryDirectory(dir=path.parent):
            pass
    except OSError as error:
        raise UsageError(f"cannot make the folder {str(path)!r}: {error.strerror}.") from error


@dataclass(frozen=True)
class Saved:
    """What became of one output.

    Attributes:
        path: Where it was to go.
        error: Why it is not there; None when it is.
        replaced: Whether a file was there before.
        folder: The folder that was asked for, or that a Markdown's pictures are in; None for a
            file that was asked for by its own name.
    """

    path: Path
    error: Exception | None = None
    replaced: bool = False
    folder: Path | None = None


@dataclass
class _Job:
    """One report on its way into files.

    Attributes:
        report: The report.
        options: Of its outputs.
        picture: The graph as a picture that a Markdown can show, once there is one.
        folder: Where everything goes; None for single files.
    """

    report: Report
    options: OutputOptions
    picture: Path | None = None
    folder: Path | None = None

    def write(self, path: Path, data: Callable[[], bytes], folder: Path | None) -> Saved:
        existed = path.exists()
        try:
            self.options.say(path.name)
            write_file(path, data())
        except Exception as error:
            return Saved(path, error, existed, folder)
        return Saved(path, None, existed, folder)

    def file(self, path: Path) -> Saved:
        form = format_of(path)
        saved = self.write(path, lambda: render(self.report, form, self.options), self.folder)
        if saved.error is None and form in ("svg", "png"):
            self.picture = self.picture or path
        return saved

    def markdown(self, path: Path) -> Iterator[Saved]:
        """The Markdown after its pictures, which it links."""
        if not is_regular(path) or not path.parent.is_dir():
            text = replace(self.options.text, image=self._inline())
            yield self.write(path, lambda: self._markdown(text), self.folder)
            return
        place = path.parent / _PLOTS if self.folder else path.with_name(f"{path.stem}_files")
        picture = self.picture
        written: list[tuple[str, str]] = []
        for name, about, draw in self._pictures(graph=picture is None):
            saved = self._beside(place, name, draw)
            yield saved
            if saved.error is None and name == "graph":
                picture = saved.path
            elif saved.error is None:
                written.append((about, _link(saved.path, path)))
        image = _link(picture, path) if picture is not None else None
        text = replace(self.options.text, image=image, plots=tuple(written))
        yield self.write(path, lambda: self._markdown(text), self.folder)

    def _beside(self, place: Path, name: str, draw: Callable[[], bytes]) -> Saved:
        def data() -> bytes:
            drawn = draw()
            place.mkdir(exist_ok=True)
            return drawn

        return self.write(place / f"{name}.svg", data, self.folder or place)

    def _pictures(self, *, graph: bool) -> Iterator[tuple[str, str, Callable[[], bytes]]]:
        """Name, words and drawing of every picture."""
        if graph:
            yield "graph", "", lambda: render(self.report, "svg", self.options)
        found = plots(plotted(self.report, self.options.text.step))
        for plot, drawn in zip(found, pictures(found), strict=True):
            yield plot.key, f"{plot.title}: {plot.about}", partial(_drawn, drawn)

    def _markdown(self, text: RenderOptions) -> bytes:
        return render(self.report, "markdown", replace(self.options, text=text))

    def _inline(self) -> str | None:
        """The graph itself as a link, for a pipe or a device that has no folder beside it."""
        try:
            svg = render(self.report, "svg", self.options)
        except (NoGraphError, ImageError):
            return None
        return f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"


def save_all(report: Report, targets: Iterable[Target], options: OutputOptions) -> Iterator[Saved]:
    """Write every output, pictures first; one that fails does not keep the others from being."""
    wanted = list(targets)
    files = [target for target in wanted if isinstance(target, Path)]
    yield from _save_files(_Job(report, options), files)
    for target in wanted:
        if isinstance(target, Folder):
            yield from _save_folder(report, target.path, options)


def _save_files(job: _Job, paths: Iterable[Path]) -> Iterator[Saved]:
    for path in sorted(paths, key=lambda path: format_of(path) == "markdown"):
        if format_of(path) == "markdown":
            yield from job.markdown(path)
        else:
            yield job.file(path)


def _save_folder(report: Report, path: Path, options: OutputOptions) -> Iterator[Saved]:
    try:
        path.mkdir(exist_ok=True)
    except OSError as error:
        yield Saved(path, error)
        return
    yield from _save_files(
        _Job(report, options, folder=path), [path / name for name in FOLDER_FILES]
    )


def save(
    report: Report, path: str | os.PathLike[str], options: OutputOptions | None = None
) -> None:
    """Write the report to one file in the format of its suffix, or all of it into a folder.

    Raises:
        UsageError: The suffix stands for no format, or the file cannot be there.
        NoGraphError: A picture of a run that left no graph.
        ImageError: A picture could not be drawn.
        OSError: Writing failed.
    """
    target = target_of(os.fspath(path))
    check_output(target)
    for result in save_all(report, [target], options or OutputOptions()):
        graphless = isinstance(result.error, NoGraphError) and result.folder is not None
        if result.error is not None and not graphless:
            raise result.error


def listed(done: Sequence[Saved], shown: Callable[[Path], str]) -> str:
    """What was written, and what was there before: every file, or every folder with its number.

    Args:
        done: What was written.
        shown: How a path is told.
    """
    alone = [s for s in done if s.folder is None]
    told = [shown(s.path) + (" (replaced)" if s.replaced else "") for s in alone]
    for folder in dict.fromkeys(s.folder for s in done if s.folder is not None):
        inside = [s for s in done if s.folder == folder]
        told.append(_of_folder(folder, inside, shown))
    return " and ".join([", ".join(told[:-1]), told[-1]] if len(told) > 1 else told)


def _of_folder(folder: Path, inside: Sequence[Saved], shown: Callable[[Path], str]) -> str:
    where = shown(folder)
    where = "this folder" if where == os.curdir else f"{where}{os.sep}"
    count = f"{len(inside)} file{'s' if len(inside) > 1 else ''} in {where}"
    replaced = [s.path.relative_to(folder).as_posix() for s in inside if s.replaced]
    return f"{count} (replaced {', '.join(replaced)})" if replaced else count


def _drawn(picture: bytes | ImageError) -> bytes:
    if isinstance(picture, ImageError):
        raise picture
    return picture


def _link(path: Path, page: Path) -> str:
    return Path(os.path.relpath(path, page.parent)).as_posix()
