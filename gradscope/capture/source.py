"""The user's lines: which code is theirs, where an op was written, what it was assigned to."""

from __future__ import annotations

import ast
import linecache
import os
import site
import sys
import sysconfig
from collections.abc import Iterable
from functools import lru_cache
from types import CodeType, FrameType

from gradscope.model.graph import Source

_INTERACTIVE = ("<stdin>", "<string>", "<ipython-input", "<cell", "<doctest", "<console")
_OWN = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


def _library_folders() -> tuple[str, ...]:
    paths = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    paths.update(site.getsitepackages())
    paths.add(site.getusersitepackages())
    paths.update(p for p in sys.path if p.rstrip(os.sep).endswith(("-packages", ".zip")))
    both = {form for p in paths if p for form in (p, os.path.realpath(p))}
    return tuple(p.rstrip(os.sep) + os.sep for p in both)


def is_own(filename: str) -> bool:
    """Whether a file is part of gradscope."""
    return os.path.abspath(filename).startswith(_OWN)


class UserCode:
    """Tells the user's code objects from everybody else's.

    Args:
        roots: Files or folders that count as the user's wherever they lie, such as the launched
            module's own package inside site-packages.
    """

    def __init__(self, roots: Iterable[str] = ()) -> None:
        self._roots = tuple(os.path.realpath(r) for r in roots)
        self._libraries = _library_folders()
        self._known: dict[CodeType, bool] = {}

    def owns(self, code: CodeType) -> bool:
        """Whether the code object belongs to the user's program."""
        known = self._known.get(code)
        if known is None:
            known = self._known[code] = self._classify(code.co_filename)
        return known

    def innermost(self, frame: FrameType | None) -> FrameType | None:
        """The first frame at or above ``frame`` that is the user's."""
        known = self._known
        while frame is not None:
            code = frame.f_code
            user = known.get(code)
            if user is None:
                user = self.owns(code)
            if user:
                return frame
            frame = frame.f_back
        return None

    def _classify(self, filename: str) -> bool:
        if filename.startswith("<"):
            return filename.startswith(_INTERACTIVE)
        path = os.path.abspath(filename)
        if path.startswith(_OWN):
            return False
        real = os.path.realpath(path)
        if any(real == root or real.startswith(root + os.sep) for root in self._roots):
            return True
        return not (path.startswith(self._libraries) or real.startswith(self._libraries))


@lru_cache(maxsize=4096)
def _positions(code: CodeType) -> tuple[tuple[int | None, int | None, int | None, int | None], ...]:
    return tuple(code.co_positions())


@lru_cache(maxsize=65536)
def place(code: CodeType, lasti: int) -> Source:
    """The user's line at one bytecode position, with the expression that was running."""
    line, end_line, col, end_col = _position(code, lasti)
    text = linecache.getline(code.co_filename, line).strip()
    expression = ""
    if col is not None and end_col is not None:
        expression = _segment(code.co_filename, line, end_line or line, col, end_col)
    return Source(code.co_filename, line, text, code.co_qualname, expression)


@lru_cache(maxsize=65536)
def targets(code: CodeType, lasti: int) -> tuple[str, ...]:
    """What the running expression is assigned to: ``h = …`` gives ``("h",)``; else empty."""
    line, end_line, col, end_col = _position(code, lasti)
    return _assignments(code.co_filename).get((line, col or 0, end_line or line, end_col or 0), ())


def _position(code: CodeType, lasti: int) -> tuple[int, int | None, int | None, int | None]:
    positions = _positions(code)
    index = lasti // 2
    if not 0 <= index < len(positions):
        return code.co_firstlineno, None, None, None
    line, end_line, col, end_col = positions[index]
    return line or code.co_firstlineno, end_line, col, end_col


def _segment(file: str, line: int, end_line: int, col: int, end_col: int) -> str:
    lines = [linecache.getline(file, n).encode() for n in range(line, min(end_line, line + 20) + 1)]
    if not lines or not lines[0]:
        return ""
    if end_line == line + len(lines) - 1:
        lines[-1] = lines[-1][:end_col]
    lines[0] = lines[0][col:]
    return " ".join(b" ".join(lines).decode(errors="replace").split())


@lru_cache(maxsize=256)
def _assignments(file: str) -> dict[tuple[int, int, int, int], tuple[str, ...]]:
    """Span of every assigned expression → the names it is assigned to."""
    text = "".join(linecache.getlines(file))
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return {}
    found: dict[tuple[int, int, int, int], tuple[str, ...]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            found[_span(node.value)] = _target_names(node.targets[0])
        elif isinstance(node, ast.AnnAssign | ast.NamedExpr) and node.value is not None:
            found[_span(node.value)] = _target_names(node.target)
        elif isinstance(node, ast.AugAssign):
            found[_span(node)] = _target_names(node.target)
    return found


def _span(node: ast.expr | ast.stmt) -> tuple[int, int, int, int]:
    return (node.lineno, node.col_offset, node.end_lineno or 0, node.end_col_offset or 0)


def _target_names(target: ast.expr) -> tuple[str, ...]:
    if isinstance(target, ast.Tuple | ast.List):
        return tuple(ast.unparse(part) for part in target.elts)
    return (ast.unparse(target),)
