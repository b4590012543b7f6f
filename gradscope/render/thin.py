"""Fewer points of a long history, chosen so that its peaks and dips stay."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable


def thin(values: array[float], points: int) -> list[int]:
    """Indices of at most about ``points`` values: both ends, and every stretch's extremes.

    Of every stretch of equal length the smallest and the largest value stay, as for a chart that
    must not lose a spike; values that are not finite come before any other.
    """
    if len(values) <= points:
        return list(range(len(values)))
    stretches = max(1, (points - 2) // 2)
    kept = {0, len(values) - 1}
    for stretch in range(stretches):
        start = len(values) * stretch // stretches
        end = len(values) * (stretch + 1) // stretches
        kept.update(start + offset for offset in _extremes(values[start:end]))
    return sorted(kept)


def spread(count: int, points: int, always: Iterable[int] = ()) -> list[int]:
    """At most ``points`` of ``range(count)``, evenly from first to last, and those of ``always``.

    ``always`` may take half of the points; beyond that its first ones are taken.
    """
    if count <= points:
        return list(range(count))
    kept = set(sorted({index for index in always if 0 <= index < count})[: points // 2])
    room = points - len(kept)
    if room > 1:
        kept.update(round(i * (count - 1) / (room - 1)) for i in range(room))
    return sorted(kept)


def _extremes(values: array[float]) -> tuple[int, int]:
    if math.isfinite(sum(values)):
        return values.index(min(values)), values.index(max(values))
    odd = [i for i, value in enumerate(values) if not math.isfinite(value)]
    return (odd[0], odd[-1]) if odd else (0, len(values) - 1)
