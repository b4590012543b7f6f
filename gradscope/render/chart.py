"""Small charts as SVG: axes, lines, points. Colours of ink and paper come from the page's style."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gradscope.render.units import format_number

WIDTH, HEIGHT = 480, 230
LEFT, RIGHT, TOP, BOTTOM = 60, 14, 22, 36
_TICKS = 6


@dataclass(frozen=True, slots=True)
class Axis:
    """From numbers to coordinates.

    Attributes:
        low: Number at ``start``; its power of ten on a log axis.
        high: Number at ``end``; the same.
        start: Coordinate.
        end: Coordinate.
        log: Whether the axis is logarithmic.
        whole: Whether its numbers are counts, such as steps.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False
    whole: bool = False

    def place(self, value: float) -> float:
        """The coordinate of a value; zero on a log axis and -Inf lie at the start."""
        if self.log:
            value = -math.inf if value <= 0 else math.log10(value)
        share = (value - self.low) / (self.high - self.low)
        # NaN would be kept by min and max; it lies at the end, with Inf.
        share = 1.0 if math.isnan(share) else min(1.0, max(0.0, share))
        return self.start + (self.end - self.start) * share

    def ticks(self) -> list[tuple[float, str]]:
        """Coordinates with their numbers."""
        span = self.high - self.low
        step = math.ceil(span / _TICKS) if self.log else _nice(span / _TICKS)
        if self.log or self.whole:
            step = max(1.0, step)
        first = math.ceil(self.low / step - 1e-9)
        count = int((self.high - first * step) / step + 1e-9) + 1
        values = [(first + i) * step for i in range(count)]
        told = [power(round(v)) for v in values] if self.log else _distinct(values)
        return list(zip(map(self._at, values), told, strict=True))

    def _at(self, position: float) -> float:
        return self.start + (self.end - self.start) * (position - self.low) / (self.high - self.low)


def _distinct(values: Sequence[float]) -> list[str]:
    """Numbers as usual, with more digits where neighbours would read the same."""
    told = [format_number(round(value, 12)) for value in values]
    if len(set(told)) == len(told):
        return told
    return [f"{round(value, 12):.6g}" for value in values]


def power(exponent: int) -> str:
    """A power of ten, as the legend of the graph spells it."""
    return format_number(10.0**exponent) if -4 < exponent < 5 else f"1e{exponent:+03d}"


def _nice(step: float) -> float:
    """1, 2 or 5 times a power of ten, not below ``step``."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= step * (1 - 1e-9))


def x_axis(values: Sequence[float], width: int = WIDTH) -> Axis:
    """A linear axis of counts from left to right."""
    low, high = min(values), max(values)
    return Axis(low, high if high > low else low + 1, LEFT, width - RIGHT, whole=True)


def y_axis(values: Iterable[float], *, log: bool, height: int = HEIGHT) -> Axis:
    """An axis from the bottom to the top around the finite values."""
    finite = [v for v in values if math.isfinite(v) and (v > 0 or not log)]
    start, end = height - BOTTOM, TOP
    if not finite:
        return Axis(-1, 0, start, end, log) if log else Axis(0, 1, start, end)
    low, high = min(finite), max(finite)
    if log:
        low, high = math.floor(math.log10(low)), math.ceil(math.log10(high))
        return Axis(low, max(high, low + 1), start, end, log=True)
    pad = (high - low) * 0.05 or abs(high) * 0.05 or 1.0
    return Axis(low - pad, high + pad, start, end)


def wants_log(values: Iterable[float]) -> bool:
    """Whether the finite values are positive and span more than two decades."""
    finite = [v for v in values if math.isfinite(v)]
    return bool(finite) and min(finite) > 0 and max(finite) / min(finite) > 100


def tag(name: str, content: str = "", /, **attributes: object) -> str:
    """An element with escaped attributes; ``data_n`` becomes ``data-n``, ``class_`` ``class``."""
    told = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(_written(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return f"<{name}{told}>{content}</{name}>"


def _written(value: object) -> str:
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)


def label(x: float, y: float, text: str, *, anchor: str = "middle", kind: str = "") -> str:
    """A text."""
    return tag("text", html.escape(text), x=x, y=y, text_anchor=anchor, class_=kind or None)


def frame(x: Axis, y: Axis, x_name: str, y_name: str) -> str:
    """Grid, ticks and the names of both axes."""
    parts = [tag("path", d=f"M{x.start},{at:.1f}H{x.end}", class_="grid") for at, _ in y.ticks()]
    parts += [label(x.start - 6, at + 4, told, anchor="end") for at, told in y.ticks()]
    parts += [label(at, y.start + 16, told) for at, told in x.ticks() if x_name]
    parts.append(label(x.end, y.start + 31, x_name, anchor="end", kind="axis"))
    parts.append(label(x.start, y.end - 9, y_name, anchor="start", kind="axis"))
    parts.append(tag("path", d=f"M{x.start},{y.start}H{x.end}", class_="base"))
    return "".join(parts)


def polyline(points: Sequence[tuple[float, float]], kind: str, **attributes: object) -> str:
    """A line through the points."""
    if not points:
        return ""
    d = "M" + "L".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return tag("path", d=d, class_=kind, **attributes)


def svg(content: str, about: str, *, height: int = HEIGHT) -> str:
    """A whole chart."""
    return tag("svg", content, viewBox=f"0 0 {WIDTH} {height}", role="img", aria_label=about)
