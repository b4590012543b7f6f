"""The spelling of findings: numbers, names and places inside one sentence."""

from __future__ import annotations

import io
import math
import tokenize
from contextlib import suppress

from gradscope.model.graph import Node, Source

_LONGEST = 72


def number(value: float) -> str:
    """Two significant digits: ``0.21``, ``3``, ``470``, ``1.4e9``, ``2e-12``, ``NaN``."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Inf" if value > 0 else "-Inf")
    if value == 0:
        return "0"
    if 1e-2 <= abs(value) < 1e4:
        whole = round(value, 1 - math.floor(math.log10(abs(value))))
        return f"{whole:g}"
    digits, exponent = f"{value:.1e}".split("e")
    return f"{digits.removesuffix('.0')}e{int(exponent)}"


def percent(share: float) -> str:
    """``97 %``; never 100 % for less than all."""
    return f"{min(round(share * 100), 99) if share < 1 else 100} %"


def power_of_ten(decades: float) -> str:
    """``10**decades`` in words that never overflow: ``1.4e9``."""
    whole = math.floor(decades)
    if -300 < decades < 300:
        return number(10.0**decades)
    return f"{number(10 ** (decades - whole))}e{whole}"


def count(amount: int, noun: str, plural: str = "") -> str:
    """``1 update``, ``3 updates``."""
    return f"{amount} {noun if amount == 1 else plural or noun + 's'}"


def name(text: str) -> str:
    """A name from the user's program in backticks, on one line and not endless."""
    plain = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    plain = plain.replace("`", "'")
    return f"`{plain if len(plain) <= _LONGEST else plain[: _LONGEST - 1] + '…'}`"


def place(source: Source | None) -> str:
    """`` (train.py:12)``, or nothing when the line is unknown."""
    return f" ({source.location})" if source else ""


def node_name(node: Node) -> str:
    """What a user calls the result of a node: its module, else as ``variable_name``."""
    return name(node.module) if node.module else variable_name(node)


def variable_name(node: Node) -> str:
    """Its variable, else the expression that made it, else the op."""
    expression = node.source.expression if node.source else ""
    return name(node.label or expression or node.op)


def op_in_line(node: Node) -> str:
    """An op with the line that made it: ```SqrtBackward0` of `d = x.sqrt()` (train.py:12)``."""
    source = node.source
    text = f" of {name(code(source))}" if source and source.text else ""
    return f"{name(node.op)}{text}{place(source)}"


def code(source: Source) -> str:
    """The line without the comment behind it."""
    # A line may be a part of a statement: what comes before the comment is fine all the same.
    with suppress(tokenize.TokenError, SyntaxError):
        for token in tokenize.generate_tokens(io.StringIO(source.text).readline):
            if token.type == tokenize.COMMENT:
                return source.text[: token.start[1]].rstrip()
    return source.text


def some(names: list[str], most: int = 3) -> str:
    """The first names and how many more: ```a`, `b` and 7 more``."""
    shown = ", ".join(map(name, names[:most]))
    rest = len(names) - most
    return f"{shown} and {rest} more" if rest > 0 else shown
