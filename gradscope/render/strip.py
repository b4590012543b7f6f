"""A row of coloured cells: the gradient at each turn of a loop."""

from __future__ import annotations

from gradscope.analysis.folded import FoldedNode
from gradscope.render.canvas import Canvas
from gradscope.render.colors import text_on
from gradscope.render.quoting import markup
from gradscope.render.units import format_integer

_MOST_CELLS = 24
_NUMBERED = 12
_WIDTH = 13  # points


def strip(canvas: Canvas, box: FoldedNode) -> str:
    """One cell per turn, the one nearest the loss first; an even choice when there are many."""
    shown = evenly(len(box.gradient.turns), _MOST_CELLS)
    cells = []
    for turn in shown:
        color = canvas.scale.color(box.gradient.turns[turn])
        name = markup(turn_name(box, turn), 3) if len(shown) <= _NUMBERED else ""
        text = f'<FONT POINT-SIZE="7" COLOR="{text_on(color)}">{name}</FONT>' if name else ""
        cells.append(
            f'<TD BGCOLOR="{color}" WIDTH="{_WIDTH}" HEIGHT="{_WIDTH}" FIXEDSIZE="TRUE">{text}</TD>'
        )
    table = '<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="1" CELLPADDING="0">'
    return f"{table}<TR>{''.join(cells)}</TR></TABLE>"


def turn_name(box: FoldedNode, turn: int) -> str:
    """The module of a turn, or its number; turns are told from the loss, numbers from the input."""
    return box.turn_names[turn] if box.turn_names else format_integer(box.count - turn)


def evenly(count: int, most: int) -> list[int]:
    """Up to ``most`` of ``range(count)``, evenly spread, both ends included."""
    if count <= most:
        return list(range(count))
    return [round(i * (count - 1) / (most - 1)) for i in range(most)]
