"""Vega-Lite specifications to SVG, by vl-convert: the other edge of rendering that may fail.

NOTE [Vega in a child] It runs in a child process, as Graphviz does. What it draws with ends its
whole process where it gets no address space (measured with vl-convert 1.9: under every ``ulimit
-v`` up to 64 GB, which many clusters set), or when a text holds U+FFFF, and that process would be
the one that ran the user's script. The child needs 0.5 s until it can draw, so whoever knows that
there will be plots has it start, and does something else meanwhile.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from gradscope.errors import ImageError

_TIMEOUT = 60.0  # seconds for all plots together
_CHILD = """
import json, sys
sys.path.append(sys.argv[1])
import vl_convert
vl_convert.vegalite_to_svg({"mark": "point", "data": {"values": []}}, allowed_base_urls=[])
for line in sys.stdin:
    try:
        drawn = vl_convert.vegalite_to_svg(json.loads(line), allowed_base_urls=[])
        print(json.dumps(["svg", drawn]), flush=True)
    except ValueError as error:
        print(json.dumps(["error", str(error)]), flush=True)
"""


class Drawer:
    """Draws plots in a child process, which ends with the block."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Drawer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._child is not None:
            self._child.kill()
            self._child.communicate()

    def start(self) -> str:
        """Has the child get ready; says why there is none, or nothing."""
        package = _folder()
        if package is None or not sys.executable:
            return "vl-convert is not installed; run `pip install 'vl-convert-python>=1.9'`"
        # -I: nothing of the user's, in the current folder or the environment, is imported.
        command = [sys.executable, "-I", "-c", _CHILD, str(package)]
        pipe = subprocess.PIPE
        try:
            self._child = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe)
        except OSError as error:
            return str(error)
        return ""

    def draw(self, specs: Sequence[Mapping[str, Any]]) -> list[str | ImageError]:
        """Each plot as SVG, or why there is none; needs neither a browser nor a network."""
        found: list[str | ImageError] = []
        written = [f"{json.dumps(spec)}\n" for spec in specs]
        deadline = time.monotonic() + _TIMEOUT
        while len(found) < len(specs):
            lines, failure = self._run("".join(written[len(found) :]), deadline)
            found += _answers(lines)
            # What ended the child is the one it was at; another child may draw those behind it.
            if len(found) < len(specs):
                found.append(ImageError(failure))
        return found

    def _run(self, specs: str, deadline: float) -> tuple[list[str], str]:
        """Whole lines of the child, and why there are not more."""
        failure = "" if self._child is not None else self.start()
        child, self._child = self._child, None
        if child is None:
            return [], failure
        try:
            said, complaint = child.communicate(
                specs.encode(), timeout=max(0.1, deadline - time.monotonic())
            )
        except subprocess.TimeoutExpired:
            child.kill()
            child.communicate()
            return [], f"vl-convert needed more than {_TIMEOUT:g} s"
        *lines, _ = said.decode().split("\n")
        return lines, _reason(child.returncode, complaint)


def draw_svg(specs: Sequence[Mapping[str, Any]]) -> list[str | ImageError]:
    """Each plot as SVG, or why there is none."""
    with Drawer() as drawer:
        return drawer.draw(specs)


def _answers(lines: Sequence[str]) -> Iterator[str | ImageError]:
    for line in lines:
        kind, text = json.loads(line)
        yield text if kind == "svg" else ImageError(_short(text))


def _folder() -> Path | None:
    """The folder vl-convert lies in, found without importing it."""
    try:
        spec = importlib.util.find_spec("vl_convert")
    except (ImportError, ValueError):
        return None
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).resolve().parent.parent


def _reason(code: int, complaint: bytes) -> str:
    if code < 0:
        return f"vl-convert was killed by signal {-code}"
    said = complaint.decode("utf-8", "replace")
    return f"vl-convert: {_short(said) or f'exit code {code}'}"


def _short(text: str) -> str:
    """What went wrong, without where in Vega's own code."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " ".join(lines[:2])[:200]
