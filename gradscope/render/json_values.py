"""Single values as JSON holds them: no NaN, no lone surrogate, no endless string."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from gradscope.model.graph import Source
from gradscope.model.stats import TensorStats
from gradscope.render.units import shorten

Document = dict[str, Any]
Number = float | int | str | None

NAME_LIMIT = 1_000
TEXT_LIMIT = 20_000


def number(value: float | int | None) -> Number:
    """The number; ``"NaN"``, ``"Infinity"`` or ``"-Infinity"`` for what JSON has no number for."""
    if value is None or math.isfinite(value):
        return value
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def column(values: Iterable[float], *, digits: int | None = None) -> list[Number]:
    """A column of numbers; ``digits`` rounds what was stored in single precision."""
    if digits is None:
        return [value if math.isfinite(value) else number(value) for value in values]
    return [round(value, digits) if math.isfinite(value) else number(value) for value in values]


def text(value: str, limit: int = NAME_LIMIT) -> str:
    """The string, its middle cut with ``…`` beyond ``limit``, lone surrogates spelled out."""
    value = shorten(value, limit)
    if value.isascii():
        return value
    return value.encode("utf-8", "backslashreplace").decode("utf-8")


def maybe(value: str, limit: int = NAME_LIMIT) -> str | None:
    """The same, and None for the empty string: unknown, or does not apply."""
    return text(value, limit) if value else None


def source_document(source: Source | None) -> Document | None:
    """A line of the user's program."""
    if source is None:
        return None
    return {
        "file": text(source.file),
        "line": source.line,
        "text": maybe(source.text),
        "function": maybe(source.function),
        "expression": maybe(source.expression),
    }


def stats_document(stats: TensorStats | None) -> Document | None:
    """Statistics of one tensor; null where not measured."""
    if stats is None:
        return None
    return {
        "shape": list(stats.shape),
        "dtype": text(stats.dtype),
        "device": text(stats.device),
        "count": stats.count,
        "l2_norm": number(stats.l2_norm),
        "rms": number(stats.rms),
        "min": number(stats.min),
        "max": number(stats.max),
        "zero_fraction": number(stats.zero_fraction),
        "zero_sampled": stats.zero_sampled,
        "nan_count": stats.nan_count,
        "inf_count": stats.inf_count,
        "value": number(stats.value),
    }


def layout(value: object, depth: int = 2) -> str:
    """Valid JSON with one line per key and per list item on the upper levels.

    ``json.dumps(indent=…)`` would put every number of a long column on a line of its own.
    """
    if isinstance(value, Mapping) and value and depth:
        lines = [f"{_compact(key)}: {layout(item, depth - 1)}" for key, item in value.items()]
        return "{\n" + ",\n".join(lines) + "\n}"
    if isinstance(value, list) and value and depth:
        return "[\n" + ",\n".join(map(_compact, value)) + "\n]"
    return _compact(value)


def _compact(value: object) -> str:
    return json.dumps(value, allow_nan=False, separators=(", ", ": "))
