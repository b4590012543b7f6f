"""Title and legend above a picture."""

from __future__ import annotations

from collections.abc import Iterable

from gradscope.analysis.folded import FoldedNode
from gradscope.model.finding import Finding
from gradscope.render.canvas import Canvas
from gradscope.render.colors import FLAG, NONFINITE, UNMEASURED, ZERO, text_on
from gradscope.render.quoting import markup
from gradscope.render.units import format_integer, format_number

_TABLE = '<TABLE BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="3">'
_WRAP = 84
_BANNERS = 3
_FLOW = {"TB": "down", "BT": "up", "LR": "right", "RL": "left"}
_KINDS = {
    "parameter": "sharp corners: parameter",
    "input": "folded corner: input",
    "tag": "small box: stands for the large one with that name",
    "loop": "×N: repeats, one coloured cell per turn, the one nearest the loss first",
}


def heading(canvas: Canvas) -> str:
    """The HTML-like label of the whole graph."""
    options = canvas.options
    lines = []
    if options.title:
        lines.append(f'<FONT POINT-SIZE="16"><B>{markup(options.title, 100)}</B></FONT>')
    lines += [markup(line, 160) for line in (options.subtitle, _size(canvas)) if line]
    if not canvas.graph.backward_ran:
        lines.append("<B>no backward ran: this graph has values, but no gradients</B>")
    rows = [_row(line) for line in lines]
    rows += map(_banner, canvas.elsewhere[:_BANNERS])
    if len(canvas.elsewhere) > _BANNERS:
        rows.append(_row(f"and {len(canvas.elsewhere) - _BANNERS} more findings"))
    if options.legend:
        rows += [f'<TR><TD ALIGN="LEFT">{part}</TD></TR>' for part in _legend(canvas)]
    return f"<{_TABLE}{''.join(rows)}</TABLE>>"


def _banner(finding: Finding) -> str:
    """A finding that has no node in the picture."""
    where = finding.where
    told = [finding.code, finding.name]
    told += [f"at {where.source.location}"] if where.source else []
    told += [f"of {where.parameter}"] if where.parameter else []
    color = FLAG[finding.severity]
    text = f'<FONT COLOR="{text_on(color)}"><B>{markup(" ".join(told), 90)}</B></FONT>'
    return f'<TR><TD ALIGN="LEFT" BGCOLOR="{color}">{text}</TD></TR>'


def _size(canvas: Canvas) -> str:
    folded = canvas.folded
    text = f"{format_integer(folded.total)} nodes"
    if folded.is_folded:
        text += f" folded into {format_integer(len(folded.nodes))} boxes"
    truncated = canvas.graph.structure.truncated
    return text + (f"; {format_integer(truncated)} more were not recorded" if truncated else "")


def _legend(canvas: Canvas) -> list[str]:
    colors = [_colors(canvas)] if canvas.graph.backward_ran else []
    return [*colors, *map(_small, _joined(_shapes(canvas)))]


def _colors(canvas: Canvas) -> str:
    scale = canvas.scale
    cells = [_swatch(scale.tick_color(power), _power(power)) for power in scale.ticks()]
    caption = f"<TD>{_small('RMS of the gradient: ')}</TD>"
    return f"{_TABLE}<TR>{caption}{''.join([*cells, *_special(canvas)])}</TR></TABLE>"


def _power(power: int) -> str:
    return format_number(10.0**power) if -4 < power < 5 else f"1e{power:+03d}"


def _special(canvas: Canvas) -> list[str]:
    """Colours outside the scale, as far as the picture has them."""
    boxes = canvas.folded.nodes
    cells = []
    if any(box.gradient.nonfinite for box in boxes):
        cells.append(_swatch(NONFINITE, "NaN or Inf"))
    if any(0.0 in (box.gradient.entering, *box.gradient.turns) for box in boxes):
        cells.append(_swatch(ZERO, "exactly 0"))
    if any(_is_unmeasured(box) for box in boxes):
        cells.append(_swatch(UNMEASURED, "not measured"))
    return cells


def _is_unmeasured(box: FoldedNode) -> bool:
    return box.gradient.entering is None and not box.gradient.absent


def _shapes(canvas: Canvas) -> list[str]:
    """What shapes and lines mean, as far as the picture has them."""
    boxes = canvas.drawn.nodes
    kinds = {box.kind for box in boxes}
    way = f"{_FLOW[canvas.options.rankdir]} from the loss"
    if canvas.graph.backward_ran:
        told = [f"Arrows: the way of the gradient, {way} (thicker: larger)"]
    else:
        told = [f"Arrows: the way a gradient would take, {way}"]
    told += [text for kind, text in _KINDS.items() if kind in kinds]
    if canvas.options.way is not None and canvas.options.way.caption:
        told.insert(0, canvas.options.way.caption)
    if canvas.flags:
        told.append("thick red, orange or blue outline: a finding (error, warning, info)")
    if any(box.gradient.absent and not box.gradient.measured for box in boxes):
        told.append("dashed: no gradient")
    return told


def _joined(parts: Iterable[str]) -> list[str]:
    """Parts in lines; one wider than the scale would stretch it."""
    lines: list[str] = []
    for part in parts:
        if lines and len(lines[-1]) + len(part) < _WRAP:
            lines[-1] += f" · {part}"
        else:
            lines.append(part)
    return lines


def _swatch(color: str, text: str) -> str:
    return f'<TD BGCOLOR="{color}"><FONT POINT-SIZE="9" COLOR="{text_on(color)}">{text}</FONT></TD>'


def _row(text: str) -> str:
    return f'<TR><TD ALIGN="LEFT">{text}</TD></TR>'


def _small(text: str) -> str:
    return f'<FONT POINT-SIZE="9">{text}</FONT>'
