"""Axes of plots: from where to where, and which numbers stand beside them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gradscope.render.units import format_number, power

_TICKS = 6
_ROUNDING = 1e-6
_SMALLEST, _LARGEST = -307, 308  # powers of ten that a double holds


@dataclass(frozen=True, slots=True)
class Axis:
    """The numbers that an axis spans.

    Attributes:
        low: Number at its start; the power of ten of that number on a log axis.
        high: Number at its end; the same.
        log: Whether the axis is logarithmic.
        whole: Whether its numbers are counts, such as steps.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False

    @property
    def domain(self) -> tuple[float, float]:
        """The numbers at both ends."""
        return self._number(self.low), self._number(self.high)

    def on(self, value: float) -> float:
        """The value, moved onto the axis: zero on a log axis to its start, NaN and Inf to its end.

        What is below the axis goes to its start, -Inf as well.
        """
        low, high = self.domain
        # NaN would be kept by min and max.
        return high if math.isnan(value) else min(max(value, low), high)

    def ticks(self) -> list[tuple[float, str]]:
        """Round numbers on the axis, and how they are spelled."""
        span = self.high - self.low
        step = math.ceil(span / _TICKS) if self.log else _nice(span / _TICKS)
        if self.log or self.whole:
            step = max(1.0, step)
        first = math.ceil(self.low / step - 1e-9)
        count = int((self.high - first * step) / step + 1e-9) + 1
        values = [(first + i) * step for i in range(count)]
        told = [power(round(v)) for v in values] if self.log else _distinct(values)
        return list(zip(map(self._number, values), told, strict=True))

    def _number(self, position: float) -> float:
        return float(10.0**position) if self.log else position


def _distinct(values: Sequence[float]) -> list[str]:
    """Numbers as usual, with more digits where neighbours would read the same."""
    told = [format_number(round(value, 12)) for value in values]
    if len(set(told)) == len(told):
        return told
    return [f"{round(value, 12):.6g}" for value in values]


def _nice(step: float) -> float:
    """1, 2 or 5 times a power of ten, not below ``step``."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= step * (1 - 1e-9))


def x_axis(values: Sequence[float]) -> Axis:
    """A linear axis of counts."""
    low, high = min(values), max(values)
    return Axis(low, high if high > low else low + 1, whole=True)


def y_axis(values: Iterable[float], *, log: bool) -> Axis:
    """An axis around the finite values; in whole decades when it is logarithmic."""
    finite = [v for v in values if math.isfinite(v) and (v > 0 or not log)]
    if not finite:
        return Axis(-1, 0, log=True) if log else Axis(0, 1)
    low, high = min(finite), max(finite)
    if log:
        start = min(max(math.floor(math.log10(low)), _SMALLEST), _LARGEST - 1)
        end = min(math.ceil(math.log10(high)), _LARGEST)
        return Axis(start, max(end, start + 1), log=True)
    # Of what differs by rounding alone, the numbers beside the axis would say nothing.
    apart = high - low if high - low > abs(high) * _ROUNDING else 0.0
    pad = apart * 0.05 or abs(high) * 0.05 or 1.0
    return Axis(low - pad, high + pad)


def wants_log(values: Iterable[float]) -> bool:
    """Whether the finite values are positive and span more than two decades."""
    finite = [v for v in values if math.isfinite(v)]
    return bool(finite) and min(finite) > 0 and max(finite) / min(finite) > 100
