"""Which statements a value was computed from, read from the source: a backward program slice.

Only names are followed: assignments in the function and on module level, ``return`` of functions
that are called, the caller's statement for arguments. It decides nothing on its own; it chooses
among calls that did run and did cut the graph.
"""

from __future__ import annotations

import ast
import linecache
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

Place = tuple[str, int]  # file, line
_Scope = ast.Module | ast.FunctionDef | ast.AsyncFunctionDef
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_ADDERS = frozenset({"append", "extend", "insert", "add", "add_", "copy_"})
_SWITCHES = frozenset({"no_grad", "inference_mode", "set_grad_enabled"})
_CUTS = frozenset(
    {"detach", "data", "argmax", "argmin", "item", "tolist", "numpy", "from_numpy", "tensor"}
    | {"long", "int", "bool", "eq", "ne", "gt", "lt", "ge", "le"}
)
_STARTS = frozenset({"backward", "grad", "manual_backward"})
_MAX_WORK = 2000  # names to follow


class Switch(NamedTuple):
    """Where the graph ends: a block that turns recording off, or a call, as it is written."""

    op: str
    file: str
    line: int
    depth: int


class Slice(NamedTuple):
    """What a value was computed from.

    Attributes:
        lines: File and line → how many assignments lie between it and the value.
        switches: Where recording is turned off on the way.
        written: Calls on the way that cut a graph if there was one.
    """

    lines: dict[Place, int]
    switches: tuple[Switch, ...]
    written: tuple[Switch, ...]


def behind(frames: Sequence[Place], files: Iterable[str]) -> Slice:
    """The slice of what ``backward`` was called on.

    Args:
        frames: The running lines of the user, innermost first; the first calls ``backward``.
        files: Further files in which called functions are looked for.
    """
    slicer = _Slicer(dict.fromkeys([file for file, _ in frames] + list(files)))
    slicer.start(frames)
    unique = (tuple(dict.fromkeys(found)) for found in (slicer.switches, slicer.written))
    return Slice(slicer.lines, *unique)


class _Slicer:
    def __init__(self, files: Iterable[str]) -> None:
        self.lines: dict[Place, int] = {}
        self.switches: list[Switch] = []
        self.written: list[Switch] = []
        self._trees = {file: tree for file in files if (tree := _parse(file)) is not None}
        self._callers: dict[_Scope, tuple[str, _Scope, ast.stmt]] = {}
        self._seen: set[tuple[_Scope, str]] = set()
        self._work: list[tuple[str, _Scope, str, int]] = []

    def start(self, frames: Sequence[Place]) -> None:
        """Follows what the first frame runs backward on, then all that leads there."""
        inner: _Scope | None = None
        for index, (file, line) in enumerate(frames):
            found = _statement(self._trees.get(file), line)
            if found is None:
                break
            scope, statement = found
            if inner is not None:
                self._callers[inner] = (file, scope, statement)
            inner = scope
            if index == 0:
                for root in _roots(statement, line):
                    self._expression(file, scope, root, 0)
                self._line(file, scope, statement, 0)
        while self._work and len(self._seen) < _MAX_WORK:
            self._follow(*self._work.pop(0))

    def _follow(self, file: str, scope: _Scope, name: str, depth: int) -> None:
        found = False
        for statement, values in _assignments(scope, name):
            found = True
            self._line(file, scope, statement, depth)
            for value in values:
                self._expression(file, scope, value, depth + 1)
        if found or isinstance(scope, ast.Module):
            return
        caller = self._callers.get(scope)
        if name in _arguments(scope) and caller is not None:
            self._line(caller[0], caller[1], caller[2], depth)
            for value in ast.iter_child_nodes(caller[2]):
                self._expression(caller[0], caller[1], value, depth + 1)
        elif name not in _arguments(scope):
            self._want(file, self._trees[file], name, depth)

    def _want(self, file: str, scope: _Scope, name: str, depth: int) -> None:
        if (scope, name) not in self._seen:
            self._seen.add((scope, name))
            self._work.append((file, scope, name, depth))

    def _expression(self, file: str, scope: _Scope, value: ast.AST, depth: int) -> None:
        for node in ast.walk(value):
            if isinstance(node, ast.Call):
                self._called(node.func, depth)
            name = _name(node)
            if name:
                self._want(file, scope, name, depth)

    def _called(self, function: ast.expr, depth: int) -> None:
        """What the functions of that name return; the ``forward``s for what is no function."""
        name = function.attr if isinstance(function, ast.Attribute) else _name(function)
        found = list(self._functions(name))
        if not found and isinstance(function, ast.Name):
            found = list(self._functions("forward"))
        for file, scope in found:
            if (scope, "return") in self._seen:
                continue
            self._seen.add((scope, "return"))
            for statement in _statements(scope):
                if isinstance(statement, ast.Return) and statement.value is not None:
                    self._line(file, scope, statement, depth)
                    self._expression(file, scope, statement.value, depth + 1)

    def _functions(self, name: str) -> Iterator[tuple[str, _Scope]]:
        for file, tree in self._trees.items():
            for node in ast.walk(tree):
                if isinstance(node, _FUNCTIONS) and node.name == name:
                    yield file, node

    def _line(self, file: str, scope: _Scope, statement: ast.stmt, depth: int) -> None:
        for line in range(statement.lineno, (statement.end_lineno or statement.lineno) + 1):
            self.lines[file, line] = min(depth, self.lines.get((file, line), depth))
        for op, line in _switches(scope, statement):
            self.switches.append(Switch(op, file, line, depth))
        for op, line in _written(statement):
            self.written.append(Switch(op, file, line, depth))


def _parse(file: str) -> ast.Module | None:
    try:
        return ast.parse("".join(linecache.getlines(file)))
    except (SyntaxError, ValueError, RecursionError):
        return None


def _statement(tree: ast.Module | None, line: int) -> tuple[_Scope, ast.stmt] | None:
    """The innermost statement at a line and the function it is in."""
    if tree is None:
        return None
    scope: _Scope = tree
    for node in ast.walk(tree):  # breadth first: inner functions come after outer ones
        if isinstance(node, _FUNCTIONS) and node.lineno <= line <= (node.end_lineno or 0):
            scope = node
    at = [s for s in _statements(scope) if s.lineno <= line <= (s.end_lineno or s.lineno)]
    # Several may share the line: ``optimizer.zero_grad(); loss.backward()``.
    return (scope, max(at, key=lambda s: (s.lineno, _has_backward(s)))) if at else None


def _statements(scope: _Scope) -> Iterator[ast.stmt]:
    """Every statement of a scope, those of functions inside left out."""
    waiting: list[ast.AST] = list(scope.body)
    while waiting:
        node = waiting.pop(0)
        if isinstance(node, ast.stmt):
            yield node
        if not isinstance(node, (*_FUNCTIONS, ast.Lambda)):
            waiting.extend(ast.iter_child_nodes(node))


def _has_backward(statement: ast.stmt) -> bool:
    return any(isinstance(n, ast.Attribute) and n.attr in _STARTS for n in ast.walk(statement))


def _roots(statement: ast.stmt, line: int) -> list[ast.AST]:
    """What backward is called on: the receiver, or the first argument."""
    for node in ast.walk(statement):
        if not isinstance(node, ast.Call) or not node.lineno <= line <= (node.end_lineno or line):
            continue
        function = node.func
        name = function.attr if isinstance(function, ast.Attribute) else _name(function)
        if name in _STARTS:
            receiver = function.value if isinstance(function, ast.Attribute) else None
            return [receiver] if receiver is not None and not node.args else [*node.args[:1]]
    return [statement]


def _assignments(scope: _Scope, name: str) -> Iterator[tuple[ast.stmt, list[ast.AST]]]:
    """Statements that give the name a value, and what the value is computed from."""
    for statement in _statements(scope):
        values: list[ast.AST] = []
        if isinstance(statement, ast.Assign):
            values = [v for t in statement.targets for v in _given(t, statement.value, name)]
        elif isinstance(statement, ast.AnnAssign | ast.AugAssign) and statement.value is not None:
            values = _given(statement.target, statement.value, name)
        elif isinstance(statement, ast.For | ast.AsyncFor):
            if _given(statement.target, statement.iter, name):
                yield ast.copy_location(ast.Pass(), statement.iter), [statement.iter]
            continue
        elif isinstance(statement, ast.Expr):
            values = _added(statement.value, name)
        if values:
            yield statement, values


def _given(target: ast.expr, value: ast.expr, name: str) -> list[ast.AST]:
    if isinstance(target, ast.Tuple | ast.List):
        parts = target.elts
        sources = value.elts if isinstance(value, ast.Tuple) else [value] * len(parts)
        return [v for t, s in zip(parts, sources, strict=False) for v in _given(t, s, name)]
    while isinstance(target, ast.Subscript | ast.Starred):
        target = target.value
    return [value] if _name(target) == name else []


def _added(value: ast.expr, name: str) -> list[ast.AST]:
    """What a call such as ``losses.append(loss)`` or ``loss.requires_grad_()`` puts in."""
    if not isinstance(value, ast.Call) or not isinstance(value.func, ast.Attribute):
        return []
    return (
        list(value.args) if value.func.attr in _ADDERS and _name(value.func.value) == name else []
    )


def _name(node: ast.AST) -> str:
    """``h``, or ``self.h``; empty for what is no name."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        return f"self.{node.attr}" if node.value.id == "self" else ""
    return ""


def _arguments(scope: _Scope) -> set[str]:
    if isinstance(scope, ast.Module):
        return set()
    args = scope.args
    found = {a.arg for a in (*args.posonlyargs, *args.args, *args.kwonlyargs)}
    return found | {a.arg for a in (args.vararg, args.kwarg) if a is not None}


def _switches(scope: _Scope, statement: ast.stmt) -> Iterator[tuple[str, int]]:
    for node in ast.walk(scope):
        if isinstance(node, ast.With | ast.AsyncWith) and node is not statement:
            inside = node.lineno <= statement.lineno <= (node.end_lineno or 0)
            for item in node.items if inside else ():
                yield from _switch(item.context_expr)
    for decorator in getattr(scope, "decorator_list", ()):
        yield from _switch(decorator)


def _written(statement: ast.stmt) -> Iterator[tuple[str, int]]:
    for node in ast.walk(statement):
        if isinstance(node, ast.Attribute) and node.attr in _CUTS:
            yield node.attr, node.end_lineno or node.lineno
        elif isinstance(node, ast.Call) and _name(node.func) == "float":
            yield "float", node.lineno


def _switch(expression: ast.expr) -> Iterator[tuple[str, int]]:
    call = expression if isinstance(expression, ast.Call) else None
    function = call.func if call is not None else expression
    name = function.attr if isinstance(function, ast.Attribute) else _name(function)
    on = call is not None and any(isinstance(a, ast.Constant) and a.value for a in call.args)
    if name == "inference_mode" or (name in _SWITCHES and not on):
        yield name, expression.lineno
