"""DOT to bytes: the only edge of rendering that may fail.

Graphviz always runs in a child process, so that a layout that takes too long or crashes takes
nothing with it: the ``dot`` program when there is one, else the Graphviz that pygraphviz brings.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal

from gradscope.errors import ImageError
from gradscope.render.svg import with_native_tooltips

Format = Literal["svg", "png", "pdf"]

_SIGNATURES = {"svg": b"<svg", "png": b"\x89PNG\r\n", "pdf": b"%PDF-"}
_ADVICE = "the .dot format needs no Graphviz, and fewer --max-nodes are drawn faster"
_CHILD = """
import sys
sys.path.append(sys.argv[2])
import pygraphviz
graph = pygraphviz.AGraph(string=sys.stdin.buffer.read().decode())
sys.stdout.buffer.write(graph.draw(format=sys.argv[1], prog="dot"))
"""
_PROBE = """digraph { node [shape=box, margin=0, fontname="Helvetica,Arial,sans-serif"]
narrow [label="iiiiiiiiiiiiiiii"] wide [label="WWWWWWWWWWWWWWWW"] }"""
_PROBE_TIMEOUT = 20.0


class _EngineError(Exception):
    """One engine gave no picture; says why."""


def render_image(dot: str, fmt: Format, *, timeout_s: float = 60.0) -> bytes:
    """The picture of a DOT text.

    Text stays text in SVG. Without any font on the machine the text of PNG and PDF becomes empty
    boxes, which Graphviz does not report: see ``fonts_available``.

    Args:
        dot: The graph in the DOT language.
        fmt: Format of the result.
        timeout_s: Seconds for layout and drawing together.

    Raises:
        ImageError: There is no Graphviz, or it failed, or it took too long; says what to do.
    """
    data = _draw(dot, fmt, time.monotonic() + timeout_s, timeout_s)
    return with_native_tooltips(data) if fmt == "svg" else data


@lru_cache(maxsize=1)
def fonts_available() -> bool:
    """Whether Graphviz finds any font, so that PNG and PDF can show text.

    Without one, every letter becomes a box of the same width, which is what this looks for. True
    when it cannot be found out.
    """
    try:
        deadline = time.monotonic() + _PROBE_TIMEOUT
        svg = _draw(_PROBE, "svg", deadline, _PROBE_TIMEOUT).decode()
    except ImageError:
        return True
    widths = []
    for corners in re.findall(r'<polygon[^>]* points="([^"]*)"', svg)[1:]:
        xs = [float(point.partition(",")[0]) for point in corners.split()]
        widths.append(max(xs) - min(xs))
    return len(widths) != 2 or widths[0] != widths[1]


def _draw(dot: str, fmt: Format, deadline: float, timeout_s: float) -> bytes:
    failures = []
    for name, command in _engines(fmt):
        try:
            return _run(command, dot, fmt, deadline)
        except subprocess.TimeoutExpired:
            raise ImageError(
                f"{name} needed more than {timeout_s:g} s to draw the graph; {_ADVICE}."
            ) from None
        except _EngineError as error:
            failures.append(f"{name}: {error}")
    if not failures:
        raise ImageError(
            "there is no Graphviz to draw with; run `pip install 'pygraphviz>=2'`, which brings "
            "its own, or install the dot program, or use the .dot format."
        )
    raise ImageError(f"Graphviz could not draw the graph ({'; '.join(failures)}); {_ADVICE}.")


def _engines(fmt: Format) -> list[tuple[str, list[str]]]:
    engines = []
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


def _run(command: Sequence[str], dot: str, fmt: Format, deadline: float) -> bytes:
    # With SERVER_NAME set, Graphviz takes itself for a web server and refuses files.
    environment = {key: value for key, value in os.environ.items() if key != "SERVER_NAME"}
    left = max(0.1, deadline - time.monotonic())
    try:
        done = subprocess.run(
            command,
            input=dot.encode("utf-8", "backslashreplace"),
            capture_output=True,
            timeout=left,
            env=environment,
            check=False,
        )
    except OSError as error:
        raise _EngineError(str(error)) from error
    if done.returncode == 0 and _SIGNATURES[fmt] in done.stdout[:2000]:
        return done.stdout
    raise _EngineError(_reason(done))


def _reason(done: subprocess.CompletedProcess[bytes]) -> str:
    """The last line the child said, or how it ended."""
    said = done.stderr.decode("utf-8", "replace").strip().splitlines()
    lines = [line for line in said if not line.startswith("Fontconfig")]
    if lines:
        return lines[-1][:200]
    if done.returncode < 0:
        return f"killed by signal {-done.returncode}"
    return f"exit code {done.returncode}" if done.returncode else "no output"
