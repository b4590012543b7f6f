"""Numbers as text: the same spelling in the picture, the tables and the sentences."""

from __future__ import annotations

import math
from collections.abc import Sequence

MISSING = "–"
_COUNT_UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_TIME_UNITS = ((60e9, "min"), (1e9, "s"), (1e6, "ms"), (1e3, "µs"))  # ns per unit


def format_number(x: float | None) -> str:
    """A number in about three significant digits: ``7``, ``0.21``, ``1235``, ``3.2e-05``.

    ``None`` (not measured) becomes ``–``, never ``0``; whole numbers below 100,000 stay whole.
    """
    if x is None:
        return MISSING
    if not math.isfinite(x):
        return "NaN" if math.isnan(x) else ("Inf" if x > 0 else "-Inf")
    size = abs(x)
    if size == 0:
        return "0"
    if not 1e-3 <= size < 99_999.5:
        return f"{x:.1e}"
    if x == int(x):
        return str(int(x))
    # :g alone would write 1.23e+03, which reads worse than 1235.
    return f"{x:.0f}" if size >= 999.5 else f"{x:.3g}"


def power(exponent: int) -> str:
    """A power of ten, as every scale spells it: ``0.001``, ``1e-04``, ``1e+06``."""
    return format_number(10.0**exponent) if -4 < exponent < 5 else f"1e{exponent:+03d}"


def format_count(n: float | None) -> str:
    """A count: ``950``, ``1.2k``, ``124M``; ``–`` for None."""
    if n is None:
        return MISSING
    for scale, unit in _COUNT_UNITS:
        # 999,950 is already 1M: in its own unit it would read 1000k.
        if abs(n) >= scale * 0.99995:
            scaled = n / scale
            digits = f"{scaled:.1f}" if abs(scaled) < 99.95 else f"{scaled:.0f}"
            return digits.removesuffix(".0") + unit
    return f"{n:.0f}"


def format_integer(n: int | None) -> str:
    """A count in full with thousands separated: ``50,000``; ``–`` for None."""
    return MISSING if n is None else f"{n:,}"


def format_duration_ns(ns: float | None) -> str:
    """A duration given in nanoseconds: ``850 ns``, ``1.2 ms``, ``3.4 s``, ``2.5 min``."""
    if ns is None:
        return MISSING
    for scale, unit in _TIME_UNITS:
        if abs(ns) >= scale:
            scaled = ns / scale
            return f"{scaled:.0f} {unit}" if abs(scaled) >= 99.95 else f"{scaled:.3g} {unit}"
    return f"{ns:.0f} ns"


def format_percent(share: float | None) -> str:
    """A share of one: ``0.123`` becomes ``12.3%``, ``0.97`` becomes ``97%``."""
    if share is None or math.isnan(share):
        return MISSING
    percent = share * 100
    if 0 < abs(percent) < 0.1:
        return "<0.1%" if percent > 0 else ">-0.1%"
    # "100%" would claim all of it.
    if 99.95 <= percent < 100:
        return ">99.9%"
    return f"{percent:.1f}".removesuffix(".0") + "%"


def format_ratio(ratio: float | None) -> str:
    """A factor: ``×0.21``, ``×3.2e-05``; ``–`` for None."""
    return MISSING if ratio is None else f"×{format_number(ratio)}"


def format_shape(shape: Sequence[int] | None) -> str:
    """Sizes as PyTorch prints them: ``[256, 784]``, ``[]`` for a scalar, empty for None."""
    return "" if shape is None else f"[{', '.join(map(str, shape))}]"


def shorten(text: str, limit: int) -> str:
    """The text, or its beginning and end around ``…`` when longer than ``limit`` characters."""
    if len(text) <= limit:
        return text
    head = (limit - 1) * 2 // 3
    tail = limit - 1 - head
    return f"{text[:head]}…{text[len(text) - tail :]}"
