"""Columns for the hops of a way: what gives way where the terminal is narrow."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len

from gradscope.render.options import RenderOptions
from gradscope.render.safe import to_ascii
from gradscope.render.table import fit_cells
from gradscope.render.units import shorten

Cells = tuple[str, ...]
HEADER = (
    *("from the loss on", "line", "backward: G becomes", "share"),
    *("gain", "so far", "gradient", "(log)"),
)
_SHORTEST_NAME = 24
_NARROWEST = 12


def fitted(grid: list[Cells], width: int) -> list[Cells]:
    """Without empty columns; on a narrow terminal the shapes give way, then the formulas."""
    grid = _without(grid, [i for i in range(len(HEADER)) if not any(row[i] for row in grid[1:])])
    if _natural(grid) <= width or HEADER[2] not in grid[0]:
        return grid
    rule = grid[0].index(HEADER[2])
    grid = [(*row[:rule], row[rule].split("  ")[0], *row[rule + 1 :]) for row in grid]
    if not _is_too_wide(grid, width):
        return grid
    without_sizes = _without(grid, [grid[0].index("gradient")])
    return without_sizes if not _is_too_wide(without_sizes, width) else _without(grid, [rule])


def _is_too_wide(grid: Sequence[Cells], width: int) -> bool:
    """Whether more than the names would have to give way."""
    longest = max(cell_len(row[0]) for row in grid)
    return _natural(grid) - max(0, longest - _SHORTEST_NAME) > width


def _without(grid: list[Cells], columns: Sequence[int]) -> list[Cells]:
    return [tuple(cell for i, cell in enumerate(row) if i not in columns) for row in grid]


def _natural(grid: Sequence[Cells]) -> int:
    return sum(max(cell_len(row[i]) for row in grid) + 2 for i in range(len(grid[0]))) - 2


def aligned(grid: Sequence[Cells], right: set[int], room: int, options: RenderOptions) -> list[str]:
    """The cells in columns; the first column gives way where they do not fit."""
    if not grid:
        return []
    widths = [max(cell_len(row[i]) for row in grid) for i in range(len(grid[0]))]
    excess = sum(widths) + 2 * (len(widths) - 1) - room
    if excess > 0:
        widths[0] = max(_NARROWEST, widths[0] - excess)
    lines = []
    for row in grid:
        parts = []
        for i, (text, width) in enumerate(zip(row, widths, strict=True)):
            fitted = _cut(text, width, options)
            pad = " " * (width - cell_len(fitted))
            parts.append(pad + fitted if i in right else fitted + pad)
        lines.append("  ".join(parts).rstrip())
    return lines


def _cut(text: str, width: int, options: RenderOptions) -> str:
    """The text without its middle where it is too wide."""
    if cell_len(text) <= width:
        return text
    if not options.unicode:
        return to_ascii(shorten(text, width - 2))
    return fit_cells(shorten(text, width), width)
