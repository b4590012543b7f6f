"""What the expression of a call is about, read from the source."""

from __future__ import annotations

import ast
from functools import lru_cache


@lru_cache(maxsize=4096)
def subject(expression: str) -> str:
    """What a call is about: ``h`` of ``h.detach()``, ``torch.argmax(h)``, ``h > 0``, ``h[0]``."""
    try:
        node = ast.parse(expression, mode="eval").body
    except (SyntaxError, ValueError, RecursionError):
        return _of_statement(expression)
    if isinstance(node, ast.Compare):
        return ast.unparse(node.left)
    if isinstance(node, ast.Attribute | ast.Subscript):
        return ast.unparse(node.value)
    return _of_call(node) if isinstance(node, ast.Call) else ""


_LIBRARIES = frozenset({"torch", "F", "nn", "np", "functional"})


def _of_call(node: ast.Call) -> str:
    function = node.func
    library = isinstance(function, ast.Attribute) and _root(function.value) in _LIBRARIES
    if isinstance(function, ast.Attribute) and not library:
        return ast.unparse(function.value)
    return ast.unparse(node.args[0]) if node.args else ""


def _root(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def _of_statement(text: str) -> str:
    """``h`` of ``h += 1``."""
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError):
        return ""
    first = body[0] if body else None
    return ast.unparse(first.target) if isinstance(first, ast.AugAssign) else ""
