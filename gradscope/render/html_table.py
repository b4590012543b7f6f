"""The parameter table of the HTML report: cells with what they sort by."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gradscope.render.colors import Scale
from gradscope.render.rows import Gap, Row, cells, fit_rows, gap_text, used_headers
from gradscope.render.safe import LINE_LIMIT, visible

MOST_ROWS = 2_000
_NUMBERS = frozenset({"value", "gradient", "update", "shape"})
_BAR = 60  # px


@dataclass(frozen=True, slots=True)
class CellView:
    """One cell.

    Attributes:
        column: Its column.
        text: What it says.
        sort: Number to sort by; empty to sort by the text.
        bar: Length of a bar, and its colour; None for none.
    """

    column: str
    text: str
    sort: str = ""
    bar: tuple[float, str] | None = None


@dataclass(frozen=True)
class RowView:
    """One row; of a gap, only ``gap`` says something.

    Attributes:
        cells: Its cells.
        parameter: Index of the parameter.
        node: Its node in the graph that is shown, or None.
        flagged: Severity of the worst finding about it; empty for none.
        gap: What was left out here.
    """

    cells: Sequence[CellView] = ()
    parameter: int = -1
    node: int | None = None
    flagged: str = ""
    gap: str = ""


def table(
    rows: Sequence[Row], nodes: Mapping[int, int], scale: Scale
) -> tuple[dict[str, str], list[RowView]]:
    """Headers and rows.

    Args:
        rows: The parameters in order.
        nodes: Parameter index to its node in the graph that is shown.
        scale: Colours of gradients.
    """
    headers = used_headers(rows)
    return headers, [_row(row, headers, nodes, scale) for row in fit_rows(rows, MOST_ROWS)]


def _row(
    row: Row | Gap, headers: Mapping[str, str], nodes: Mapping[int, int], scale: Scale
) -> RowView:
    if isinstance(row, Gap):
        return RowView(gap=gap_text(row))
    texts = cells(row)
    index = row.parameter.index
    return RowView(
        cells=[_cell(row, column, texts[column], scale) for column in headers],
        parameter=index,
        node=nodes.get(index),
        flagged=row.severity,
    )


def _cell(row: Row, column: str, text: str, scale: Scale) -> CellView:
    numbers = {
        "value": row.value,
        "gradient": None if row.gradient is None else abs(row.gradient),
        "update": row.ratio,
        "shape": row.parameter.count,
    }
    bar = _bar(row, scale) if column == "gradient" else None
    sort = _sort_key(numbers[column]) if column in _NUMBERS else ""
    return CellView(column, visible(text, LINE_LIMIT), sort, bar)


def _bar(row: Row, scale: Scale) -> tuple[float, str] | None:
    """A bar of the gradient's RMS on the graph's scale, in its colour."""
    rms = row.parameter.gradient_rms
    if rms is None:
        return None
    color = scale.color(rms)
    if not math.isfinite(rms) or rms == 0:
        return (_BAR if rms else 0.0), color
    return 2 + (_BAR - 2) * scale.position(rms), color


def _sort_key(number: float | None) -> str:
    """The number; what is missing sorts first, what is not finite last."""
    if number is None:
        return "-1e999"
    return repr(float(number)) if math.isfinite(number) else "1e999"
