"""DOT to bytes: the only edge of rendering that may fail.

Graphviz always runs in a child process, so that a layout that takes too long or crashes takes
nothing with it: the ``dot`` program when there is one, else the Graphviz that pygraphviz brings.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal

from gradscope.errors import ImageError
from gradscope.render.engine import Engine, Layout, lay_out
from gradscope.render.svg import with_native_tooltips

Format = Literal["svg", "png", "pdf"]

LIMIT_S = 60.0
"""Seconds for a picture that was asked for by itself."""
_CHILD = """
import sys
dot = sys.stdin.buffer.read().decode()
sys.path.append(sys.argv[2])
import pygraphviz
graph = pygraphviz.AGraph(string=dot)
sys.stdout.buffer.write(graph.draw(format=sys.argv[1], prog="dot"))
"""
_PROBE = """digraph { node [shape=box, margin=0, fontname="Helvetica,Arial,sans-serif"]
narrow [label="iiiiiiiiiiiiiiii"] wide [label="WWWWWWWWWWWWWWWW"] }"""
_PROBE_TIMEOUT = 20.0


def render_image(
    dot: str,
    fmt: Format,
    *,
    timeout_s: float = LIMIT_S,
    tell: Callable[[float], None] = lambda _: None,
) -> bytes:
    """The picture of a DOT text.

    Text stays text in SVG. Without any font on the machine the text of PNG and PDF becomes empty
    boxes, which Graphviz does not report: see ``fonts_available``.

    Args:
        dot: The graph in the DOT language.
        fmt: Format of the result.
        timeout_s: Seconds for layout and drawing together.
        tell: Called every second with the seconds gone by.

    Raises:
        ImageError: There is no Graphviz, or it failed, or it took too long; says what to do.
    """
    [drawn] = _draw([dot], fmt, [timeout_s], tell)
    if isinstance(drawn, ImageError):
        raise drawn
    return with_native_tooltips(drawn) if fmt == "svg" else drawn


def render_svgs(dots: Sequence[str], limits: Sequence[float]) -> list[bytes | ImageError]:
    """The pictures of several DOT texts, drawn at the same time, or why one is missing.

    Args:
        dots: Graphs in the DOT language.
        limits: Seconds for each of them.
    """
    drawn = _draw(dots, "svg", limits)
    return [d if isinstance(d, ImageError) else with_native_tooltips(d) for d in drawn]


@lru_cache(maxsize=1)
def fonts_available() -> bool:
    """Whether Graphviz finds any font, so that PNG and PDF can show text.

    Without one, every letter becomes a box of the same width, which is what this looks for. True
    when it cannot be found out.
    """
    [svg] = _draw([_PROBE], "svg", [_PROBE_TIMEOUT])
    if isinstance(svg, ImageError):
        return True
    widths = []
    for corners in re.findall(r'<polygon[^>]* points="([^"]*)"', svg.decode())[1:]:
        xs = [float(point.partition(",")[0]) for point in corners.split()]
        widths.append(max(xs) - min(xs))
    return len(widths) != 2 or widths[0] != widths[1]


def _draw(
    dots: Sequence[str],
    fmt: Format,
    limits: Sequence[float],
    tell: Callable[[float], None] = lambda _: None,
) -> list[bytes | ImageError]:
    engines = _engines(fmt)
    if not engines:
        missing = ImageError(
            "there is no Graphviz to draw with; run `pip install 'pygraphviz>=2'`, which brings "
            "its own, or install the dot program, or use the .dot format."
        )
        return [missing for _ in dots]
    layouts = [
        Layout(dot.encode("utf-8", "backslashreplace"), fmt, list(engines), limit)
        for dot, limit in zip(dots, limits, strict=True)
    ]
    return lay_out(layouts, tell)


def _engines(fmt: Format) -> list[Engine]:
    engines: list[Engine] = []
    program = shutil.which("dot")
    if program is not None:
        engines.append(("dot", [program, f"-T{fmt}"]))
    package = _pygraphviz_folder()
    if package is not None and sys.executable:
        # -I: nothing of the user's, in the current folder or the environment, is imported.
        child = [sys.executable, "-I", "-c", _CHILD, fmt, str(package)]
        engines.append(("pygraphviz", child))
    return engines


def _pygraphviz_folder() -> Path | None:
    """The folder pygraphviz lies in, found without importing it."""
    try:
        spec = importlib.util.find_spec("pygraphviz")
    except (ImportError, ValueError):
        return None
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).resolve().parent.parent
