"""The parameter table as aligned lines of a given width; cells hold escaped text already."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from rich.text import Text

from gradscope.render.rows import Gap, Row, bars, cells, gap_text, used_headers
from gradscope.render.safe import visible

_RIGHT = frozenset({"value", "gradient", "update"})
_LIMITS = {"name": 64, "shape": 20, "value": 9, "gradient": 9, "update": 9, "flags": 30}
_NARROWEST_NAME = 12
_NARROWEST_FLAGS = 6
_SHAPES_FROM = 72  # columns of screen
_SHORTEST_BAR, _LONGEST_BAR = 5, 12  # cells
_GAP = "  "


def table_lines(fitted: Sequence[Row | Gap], width: int, *, unicode: bool) -> list[Text]:
    """The table, header first, no line wider than ``width`` cells."""
    rows = [row for row in fitted if isinstance(row, Row)]
    names = used_headers(rows)
    if width < _SHAPES_FROM:
        names.pop("shape", None)
    grid = [_escaped(cells(row), unicode) for row in rows]
    names = _with_bars(names, grid, rows, width, unicode=unicode)
    widths = _widths(names, grid, width)
    lines = [Text(_line(names, widths, unicode), style="dim")]
    filled = iter(grid)
    for row in fitted:
        if isinstance(row, Gap):
            lines.append(Text(visible(gap_text(row), unicode=unicode), style="dim"))
        else:
            lines.append(Text(_line(next(filled), widths, unicode), style=_style(row)))
    return lines


def _with_bars(
    names: dict[str, str],
    grid: list[dict[str, str]],
    rows: Sequence[Row],
    width: int,
    *,
    unicode: bool,
) -> dict[str, str]:
    """The columns with a bar behind the gradient, where nothing has to give way for it."""
    room = width - _total(_natural_widths(names, grid)) - len(_GAP)
    if room < _SHORTEST_BAR:
        return names
    drawn = bars(rows, min(room, _LONGEST_BAR), "━" if unicode else "=")
    if not any(drawn):
        return names
    for texts, bar in zip(grid, drawn, strict=True):
        texts["bar"] = bar
    order = ["name", "shape", "value", "gradient", "bar", "update", "flags"]
    named = {**names, "bar": "(log)"}
    return {header: named[header] for header in order if header in named}


def _natural_widths(names: dict[str, str], grid: list[dict[str, str]]) -> dict[str, int]:
    return {h: max(len(name), *(cell_len(t[h]) for t in grid)) for h, name in names.items()}


def _total(widths: dict[str, int]) -> int:
    return sum(widths.values()) + len(_GAP) * (len(widths) - 1)


def _widths(names: dict[str, str], grid: list[dict[str, str]], width: int) -> dict[str, int]:
    """The columns' widths: names give way first, flags after them."""
    widths = _natural_widths(names, grid)
    for header, narrowest in (("name", _NARROWEST_NAME), ("flags", _NARROWEST_FLAGS)):
        if header in widths and (excess := _total(widths) - width) > 0:
            widths[header] = min(widths[header], max(narrowest, widths[header] - excess))
    return widths


def _escaped(texts: dict[str, str], unicode: bool) -> dict[str, str]:
    return {h: visible(text, _LIMITS[h], unicode=unicode) for h, text in texts.items()}


def _line(texts: dict[str, str], widths: dict[str, int], unicode: bool) -> str:
    parts = []
    for header, width in widths.items():
        text = fit_cells(texts[header], width, mark="…" if unicode else "...")
        pad = " " * (width - cell_len(text))
        parts.append(pad + text if header in _RIGHT else text + pad)
    return _GAP.join(parts).rstrip()


def _style(row: Row) -> str:
    if any(flag.startswith("GS") for flag in row.flags):
        return "yellow"
    return "" if row.parameter.requires_grad else "dim"


def fit_cells(text: str, width: int, mark: str = "…") -> str:
    """The text, or its end after ``mark``, in at most ``width`` terminal cells.

    The end of ``transformer.h.11.attn.weight`` says more than its beginning.
    """
    if cell_len(text) <= width:
        return text
    start = max(0, len(text) - width)
    while cell_len(text[start:]) > width - len(mark):
        start += 1
    return mark + text[start:]
