"""Small formulas that carry their text, the same with numbers in it, and their value."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable
from dataclasses import dataclass

_SUM, _PRODUCT, _SIGN, _POWER, _ATOM = range(5)
_SUPERSCRIPTS = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")


@dataclass(frozen=True, slots=True)
class Sym:
    """A formula.

    Attributes:
        text: ``2·x``.
        filled: ``2·3``: the same with numbers for names.
        value: ``6.0``.
        level: How tightly its outermost operation binds; for brackets.
        is_number: Whether it holds no name.
    """

    text: str
    filled: str
    value: float
    level: int = _ATOM
    is_number: bool = False

    @property
    def is_sum(self) -> bool:
        """Whether it needs brackets as a factor."""
        return self.level == _SUM

    def __add__(self, other: Sym) -> Sym:
        if self.is_number and other.is_number:
            return number(self.value + other.value)
        return _joined(self, " + ", other, _SUM, self.value + other.value)

    def __sub__(self, other: Sym) -> Sym:
        if self.is_number and other.is_number:
            return number(self.value - other.value)
        return _joined(self, " − ", other, _SUM, self.value - other.value, tighter=True)

    def __mul__(self, other: Sym) -> Sym:
        value = self.value * other.value
        if self.is_number and other.is_number:
            return number(value)
        for one, rest in ((self, other), (other, self)):
            if one.is_number and one.value in (1, -1):
                return rest if one.value == 1 else -rest
        return _joined(self, "·", other, _PRODUCT, value)

    def __truediv__(self, other: Sym) -> Sym:
        if self.is_number and other.is_number:
            return number(self.value / other.value)
        return _joined(self, "/", other, _PRODUCT, self.value / other.value, tighter=True)

    def __neg__(self) -> Sym:
        if self.is_number:
            return number(-self.value)
        text, filled = (_bracketed(t, self.level, _PRODUCT) for t in (self.text, self.filled))
        return Sym(f"−{text}", f"−{filled}", -self.value, _SIGN)

    def __pow__(self, exponent: Sym) -> Sym:
        if exponent.is_number and exponent.value == 1:
            return self
        if exponent.is_number and exponent.value == 0:
            return number(1.0)
        value = float(self.value**exponent.value)
        base = Sym(_bracketed(self.text, self.level, _ATOM), _atom(self.filled), value)
        if exponent.is_number and exponent.value == int(exponent.value):
            small = exponent.text.replace("−", "-").translate(_SUPERSCRIPTS)
            return Sym(base.text + small, base.filled + small, value, _POWER)
        upper = _bracketed(exponent.text, exponent.level, _ATOM)
        return Sym(f"{base.text}^{upper}", f"{base.filled}^{_atom(exponent.filled)}", value, _POWER)


def number(value: float) -> Sym:
    """A plain number; binds like a sign where it is negative."""
    text = short_number(value)
    return Sym(text, text, value, _SIGN if text.startswith("−") else _ATOM, is_number=True)


def named(text: str, value: float) -> Sym:
    """A name of the user's, or an expression of theirs, with its value."""
    return Sym(text, _atom(short_number(value)), value, _level(text))


def function(name: str, of: Sym, compute: Callable[[float], float]) -> Sym:
    """``name(x)``."""
    filled = of.filled
    if filled.startswith("(") and filled.endswith(")"):
        filled = filled[1:-1]
    return Sym(f"{name}({of.text})", f"{name}({filled})", compute(of.value))


def short_number(value: float) -> str:
    """A number for a formula: four significant digits or as many as it takes, a true minus."""
    if not math.isfinite(value):
        text = "NaN" if math.isnan(value) else "Inf"
    elif value == int(value) and abs(value) < 1e5:
        text = str(abs(int(value)))
    else:
        # 0.99999 must not read 1: a derivative such as 1 − y² lives on the difference.
        spelled = (f"{abs(value):.{digits}g}" for digits in (4, 6, 8, 12, 17))
        text = next(t for t in spelled if float(t) != int(float(t)) or abs(value) >= 1e4)
    return f"−{text}" if value < 0 else text


def _joined(
    left: Sym, sign: str, right: Sym, level: int, value: float, *, tighter: bool = False
) -> Sym:
    """Two formulas with a sign between; ``tighter``: ``a − (b − c)`` needs its brackets."""
    right_level = level + 1 if tighter else max(level, _PRODUCT if sign == " + " else level)
    texts = [
        _bracketed(left.text, left.level, level),
        _bracketed(right.text, right.level, right_level),
    ]
    filled = [
        _bracketed(left.filled, left.level, level),
        _bracketed(right.filled, right.level, right_level),
    ]
    if texts[1].startswith("−"):
        texts[1], filled[1] = f"({texts[1]})", f"({filled[1]})"
    return Sym(sign.join(texts), sign.join(filled), value, level)


def _bracketed(text: str, level: int, needed: int) -> str:
    """The text as part of something that binds as tightly as ``needed``."""
    if level >= needed or (level == _SIGN and needed == _SUM):
        return text
    if text.startswith("(") and text.endswith(")") and "(" not in text[1:]:
        return text
    return f"({text})" if not _is_plain(text) else text


def _is_plain(text: str) -> bool:
    return text.replace(".", "").isalnum()


def _atom(text: str) -> str:
    is_bare = _is_plain(text) or (text.startswith("(") and text.endswith(")"))
    return text if is_bare else f"({text})"


def _level(text: str) -> int:
    """How tightly the user's expression binds."""
    try:
        tree = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return _ATOM if "#" in text else _SUM
    if isinstance(tree, ast.BinOp):
        if isinstance(tree.op, ast.Pow):
            return _POWER
        return _SUM if isinstance(tree.op, ast.Add | ast.Sub) else _PRODUCT
    if isinstance(tree, ast.UnaryOp):
        return _SIGN
    return _ATOM
