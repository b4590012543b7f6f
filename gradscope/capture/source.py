"""The user's lines: which code is theirs, where an op was written, what it was assigned to."""

from __future__ import annotations

import ast
import linecache
import os
import re
import site
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from functools import lru_cache
from types import CodeType, FrameType

from gradscope.capture.cells import shown_file
from gradscope.model.graph import Source

_INTERACTIVE = ("<stdin>", "<string>", "<ipython-input", "<cell", "<doctest", "<console")
MAX_KNOWN = 50_000
Span = tuple[int, int, int, int]  # first line and column, last line and column
_OWN = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
# By the code's id, which holding it keeps its own, since its hash takes longer than most lookups.
_places: dict[tuple[int, int], tuple[CodeType, Source]] = {}


def _library_folders() -> tuple[str, ...]:
    paths = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    paths.update(site.getsitepackages())
    paths.add(site.getusersitepackages())
    paths.update(p for p in sys.path if p.rstrip(os.sep).endswith(("-packages", ".zip")))
    both = {form for p in paths if p for form in (p, os.path.realpath(p))}
    return tuple(p.rstrip(os.sep) + os.sep for p in both)


def is_own(filename: str) -> bool:
    """Whether a file is part of gradscope."""
    return filename.startswith(_OWN) or os.path.normpath(filename).startswith(_OWN)


class UserCode:
    """Tells the user's code objects from everybody else's.

    Args:
        roots: Files or folders that count as the user's wherever they lie, such as the launched
            module's own package inside site-packages.
    """

    def __init__(self, roots: Iterable[str] = ()) -> None:
        self._roots = tuple(os.path.realpath(r) for r in roots)
        self._libraries = _library_folders()
        self.files: set[str] = set()  # of the user's, as their code names them
        # By id, since equal code in two files is equal to Python; holding it keeps the id its own.
        self._users: dict[int, CodeType] = {}
        self._others: dict[int, CodeType] = {}

    def owns(self, code: CodeType) -> bool:
        """Whether the code object belongs to the user's program."""
        return id(code) in self._users or (id(code) not in self._others and self._meet(code))

    def innermost(self, frame: FrameType | None) -> FrameType | None:
        """The first frame at or above ``frame`` that is the user's."""
        others = self._others
        while frame is not None and (id(frame.f_code) in others or not self.owns(frame.f_code)):
            frame = frame.f_back
        return frame

    def _meet(self, code: CodeType) -> bool:
        """Classifies a code object; reads its file now, before the user edits it or moves on."""
        for known in (self._users, self._others):
            if len(known) >= MAX_KNOWN:
                known.clear()
        # What a mode or tensor subclass of the user's runs belongs to the line that set it off.
        user = code.co_name != "__torch_function__" and self._classify(code.co_filename)
        if user:
            self.files.add(code.co_filename)
            linecache.getlines(code.co_filename)
        (self._users if user else self._others)[id(code)] = code
        return user

    def _classify(self, filename: str) -> bool:
        if filename.startswith("<"):
            return filename.startswith(_INTERACTIVE)
        try:
            path, real = os.path.abspath(filename), os.path.realpath(filename)
        except OSError:  # a relative name, and the working directory is gone
            return True
        if path.startswith(_OWN):
            return False
        if any(real == root or real.startswith(root + os.sep) for root in self._roots):
            return True
        return not (path.startswith(self._libraries) or real.startswith(self._libraries))


@lru_cache(maxsize=4096)
def _positions(code: CodeType) -> tuple[tuple[int | None, int | None, int | None, int | None], ...]:
    return tuple(code.co_positions())


def place(code: CodeType, lasti: int) -> Source:
    """The user's line at one bytecode position, with the expression that was running."""
    known = _places.get((id(code), lasti))
    if known is None:
        if len(_places) >= MAX_KNOWN:
            _places.clear()
        found = _place(code.co_filename, code, lasti)
        known = _places[id(code), lasti] = (code, found)
    return known[1]


def targets(code: CodeType, lasti: int) -> tuple[str, ...]:
    """What the running expression is assigned to: ``h = …`` gives ``("h",)``; else empty."""
    return _targets(code.co_filename, code, lasti)


def carried_name(code: CodeType, lasti: int, output_nr: int) -> str:
    """What the running call's result is named that goes into the next iteration; may be empty.

    Among several names that is one which the same call takes in again; else that output, where the
    state of an LSTM comes as one pair at the end.
    """
    names = targets(code, lasti)
    if not names:
        return ""
    output = names[min(output_nr, len(names) - 1)]
    called = place(code, lasti).expression
    taken = [name for name in names if _is_read(name, called)]
    return output if output in taken else next(iter(taken), output)


def _is_read(name: str, expression: str) -> bool:
    return re.search(rf"(?<![\w.]){re.escape(name)}(?!\w)", expression) is not None


def message_of(error: BaseException) -> str:
    """``str(error)``, whatever the user made of it."""
    try:
        return str(error)
    except Exception:
        return "<exception str() failed>"


def forget() -> None:
    """Empties the caches: files may have been edited since the last run in this process."""
    linecache.checkcache()
    _places.clear()
    for cache in (_positions, _targets, _assignments):
        cache.cache_clear()


def _place(file: str, code: CodeType, lasti: int) -> Source:
    line, end_line, col, end_col = _position(code, lasti)
    text = linecache.getline(file, line).strip()
    expression = ""
    if col is not None and end_col is not None:
        expression = _segment(file, line, end_line or line, col, end_col)
    return Source(shown_file(file), line, text, code.co_qualname, expression)


# The file is part of the key: equal code in two files is equal to Python.
@lru_cache(maxsize=65536)
def _targets(file: str, code: CodeType, lasti: int) -> tuple[str, ...]:
    line, end_line, col, end_col = _position(code, lasti)
    return _assignments(file).get((line, col or 0, end_line or line, end_col or 0), ())


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
def _assignments(file: str) -> dict[Span, tuple[str, ...]]:
    """Span of every assigned expression → the names it is assigned to."""
    text = "".join(linecache.getlines(file))
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return {}
    found: dict[Span, tuple[str, ...]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            found.update(_assigned(node.value, node.targets[0]))
        elif isinstance(node, ast.AnnAssign | ast.NamedExpr) and node.value is not None:
            found.update(_assigned(node.value, node.target))
        elif isinstance(node, ast.AugAssign):
            found[_span(node)] = _target_names(node.target)
    return found


def _assigned(value: ast.expr, target: ast.expr) -> Iterator[tuple[Span, tuple[str, ...]]]:
    """The expressions whose result ends up in the target; ``x[0] = …`` makes a new ``x``."""
    if isinstance(target, ast.Subscript):
        yield _span(target), _target_names(target.value)
    waiting = [(value, target)]
    while waiting:
        value, target = waiting.pop()
        if isinstance(value, ast.IfExp):
            waiting += [(value.body, target), (value.orelse, target)]
        elif isinstance(value, ast.Await):
            waiting.append((value.value, target))
        elif isinstance(value, ast.Tuple) and isinstance(target, ast.Tuple):
            waiting += zip(value.elts, target.elts, strict=False)
        else:
            yield _span(value), _target_names(target)


def _span(node: ast.expr | ast.stmt) -> Span:
    return (node.lineno, node.col_offset, node.end_lineno or 0, node.end_col_offset or 0)


def _target_names(target: ast.expr) -> tuple[str, ...]:
    if isinstance(target, ast.Tuple | ast.List):
        return tuple(ast.unparse(part) for part in target.elts)
    return (ast.unparse(target),)
