"""How a tag looks: the names of the boxes it stands for, each in the colour of what flows there."""

from __future__ import annotations

from gradscope.analysis.describe import relative
from gradscope.analysis.folded import FoldedNode
from gradscope.analysis.tags import LEAVES
from gradscope.render.canvas import Canvas
from gradscope.render.colors import ABSENT, text_on
from gradscope.render.names import box_name
from gradscope.render.quoting import attribute, markup, plain
from gradscope.render.units import format_integer, format_number

_NAME, _LINE = 32, 120  # characters
_ROWS, _LINES = 6, 40


def tag_look(canvas: Canvas, tag: FoldedNode) -> dict[str, str]:
    """Attributes of a tag. Its class tells the page that it is no box of its own."""
    return {
        "id": f'"{tag.id}"',
        "class": '"tag"',
        "label": _label(canvas, tag),
        "tooltip": tag_tooltip(canvas, tag),
        "style": '"filled"',
        "fillcolor": '"#ffffff"',
        "penwidth": "0.5",
        "margin": "0",
        "height": "0.1",
    }


def tag_tooltip(canvas: Canvas, tag: FoldedNode) -> str:
    """The tooltip of a tag, and of its arrow, as a quoted attribute."""
    lines = ["stands for"]
    for box_id, gradient in _parts(tag)[:_LINES]:
        rms = "" if gradient is None else f": gradient rms {format_number(gradient)}"
        lines.append(f"{_name(canvas, tag, box_id)}{rms}")
    return attribute(*(plain(line, _LINE) for line in [*lines, *_more(tag, _LINES)]))


def _label(canvas: Canvas, tag: FoldedNode) -> str:
    rows = [_cell(canvas, tag, *part) for part in _parts(tag)[:_ROWS]]
    rows += [f'<TD><FONT POINT-SIZE="8">{more}</FONT></TD>' for more in _more(tag, _ROWS)]
    table = 'BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="1"'
    return f"<<TABLE {table}>{''.join(f'<TR>{row}</TR>' for row in rows)}</TABLE>>"


def _cell(canvas: Canvas, tag: FoldedNode, box_id: str, gradient: float | None) -> str:
    fill = canvas.scale.color(gradient) if canvas.graph.backward_ran else ABSENT
    name = markup(_name(canvas, tag, box_id), _NAME)
    font = f'<FONT POINT-SIZE="8" COLOR="{text_on(fill)}">{name}</FONT>'
    return f'<TD ALIGN="LEFT" BGCOLOR="{fill}">{font}</TD>'


def _parts(tag: FoldedNode) -> list[tuple[str, float | None]]:
    return list(zip(tag.contents, tag.gradient.turns, strict=True))


def _more(tag: FoldedNode, shown: int) -> list[str]:
    left = len(tag.contents) - shown
    return [f"and {format_integer(left)} more"] if left > 0 else []


def _name(canvas: Canvas, tag: FoldedNode, box_id: str) -> str:
    """The box's name with what tells it from others of the same line: its module, its turn."""
    box = canvas.box(box_id)
    name = box_name(canvas, box)
    node = canvas.node(box.anchor)
    if box.is_folded or node.kind in LEAVES:
        return name
    around = canvas.folded.clusters[tag.cluster].name if tag.cluster >= 0 else ""
    module = relative(node.module, around) if node.module != around else ""
    turn = f"#{node.iteration}" if node.iteration > 1 else ""
    return " ".join(part for part in (module, name, turn) if part)
