"""The text on every box: the user's words first, the numbers next, autograd's words last."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable

from gradscope.analysis.describe import relative
from gradscope.analysis.folded import FoldedNode
from gradscope.analysis.paths import op_base
from gradscope.model.finding import Finding
from gradscope.model.graph import Node
from gradscope.model.stats import TensorStats
from gradscope.render.canvas import Canvas
from gradscope.render.colors import FLAG, NONFINITE, text_on
from gradscope.render.quoting import markup
from gradscope.render.strip import strip, turn_name
from gradscope.render.traits import notable
from gradscope.render.units import (
    MISSING,
    format_count,
    format_integer,
    format_number,
    format_ratio,
    format_shape,
)

_SMALL, _NUMBERS = 8.5, 10  # points
_TITLE_LIMIT = 52
_SMALL_LIMIT = 60
_WRAP = 48
_SHOWN_LEAVES = 2
_SHOWN_FLAGS = 3
_FLOW_CODES = ("GS101", "GS102", "GS103")


def label(canvas: Canvas, box: FoldedNode) -> str:
    """The HTML-like label of a box."""
    if box.kind in ("parameter", "input"):
        rows = _leaf_rows(canvas, box)
    elif box.kind == "leaves":
        rows = [_title(box.title), *_small(_leaves_text(canvas, box)), *_number_rows(canvas, box)]
    elif box.is_folded:
        rows = _folded_rows(canvas, box)
    elif box.plumbing:
        rows = list(_small(op_base(box.ops[0][0])))
    else:
        rows = _op_rows(canvas, box)
    rows += [*_arrows_elsewhere(box), *_flag_rows(canvas, box)]
    cells = "".join(f"<TR>{cell}</TR>" for cell in rows)
    table = 'BORDER="0" CELLBORDER="0" CELLSPACING="0" CELLPADDING="1"'
    return f"<<TABLE {table}>{cells}</TABLE>>"


def _leaf_rows(canvas: Canvas, box: FoldedNode) -> list[str]:
    shape = format_shape(canvas.node(box.anchor).shape or None)
    name = canvas.leaf_name(box.anchor)
    return [_title(name if name.endswith(shape) else f"{name} {shape}"), *_number_rows(canvas, box)]


def _op_rows(canvas: Canvas, box: FoldedNode) -> list[str]:
    """Two rows: a tall box for every op would make a strip of any graph."""
    node = canvas.node(box.anchor)
    loss = f"{_font('LOSS', _SMALL)} " if box.kind == "loss" else ""
    title = f"<B>{markup(canvas.op_title(node), _TITLE_LIMIT)}</B>"
    origin = _font(markup(_origin(canvas, box, node), _SMALL_LIMIT), _SMALL)
    op = _font(markup(node.op, _SMALL_LIMIT), _SMALL)
    more = _small(notable(canvas.graph.traits.get(node.id)))
    return [_cell(f"{loss}{title} {origin}", 12), *_number_rows(canvas, box, op), *more]


def _origin(canvas: Canvas, box: FoldedNode, node: Node) -> str:
    """The line, or else the module if no frame around it tells; and which turn of a loop."""
    told = []
    around = canvas.folded.clusters[box.cluster].name if box.cluster >= 0 else ""
    if node.source is not None and canvas.is_informative(node):
        told.append(node.source.location)
    elif node.module and node.module != around:
        told.append(f"{relative(node.module, around)} {node.module_type}")
    if node.iteration > 1:
        told.append(f"#{node.iteration}")
    return " ".join(told)


def _folded_rows(canvas: Canvas, box: FoldedNode) -> list[str]:
    name = f"<B>{markup(box.title, _TITLE_LIMIT)}</B>"
    if box.kind == "module":
        name += f" {markup(box.path, _SMALL_LIMIT)}"
    elif box.kind == "loop":
        name += f" <B>×{format_integer(box.count)}</B>"
    rows = [_cell(name, 12)]
    if box.kind == "loop":
        rows += [_cell(markup(box.path, _SMALL_LIMIT), 11)] if box.path else []
        rows += [f"<TD>{strip(canvas, box)}</TD>"] if canvas.graph.backward_ran else []
    rows += _number_rows(canvas, box)
    rows += _small(_inside(canvas, box))
    if box.kind in ("line", "span") and box.path:
        rows += _small(box.path)
    return rows


def _inside(canvas: Canvas, box: FoldedNode) -> str:
    """What a folded box consists of, and the parameters in it."""
    told = []
    if len(box.contents) > 1:
        told.append(" → ".join(box.contents))
    if box.leaves:
        told.append(_leaves_text(canvas, box))
    return "\n".join(told)


def _leaves_text(canvas: Canvas, box: FoldedNode) -> str:
    if len(box.leaves) > _SHOWN_LEAVES:
        elements = sum(math.prod(canvas.node(leaf).shape or ()) for leaf in box.leaves)
        count = f"{format_integer(len(box.leaves))} parameters"
        return f"{count}, {format_count(elements)} elements"
    names = ((canvas.leaf_name(leaf).rpartition(".")[2], leaf) for leaf in box.leaves)
    return ", ".join(f"{name} {format_shape(canvas.node(leaf).shape)}" for name, leaf in names)


def _number_rows(canvas: Canvas, box: FoldedNode, more: str = "") -> list[str]:
    """Shape, value and gradient, and ``more``; a row of its own for what is not finite."""
    told = [] if box.is_folded else _value_text(canvas, box)
    problem = _problem(canvas, box) if canvas.graph.backward_ran else ""
    if canvas.graph.backward_ran and not problem:
        told.append(_gradient_text(canvas, box))
    if more:
        told.append(more)
    rows = [_cell("  ".join(told), _NUMBERS)] if told else []
    if problem:
        alarm = f'<FONT COLOR="{text_on(NONFINITE)}"><B>{problem}</B></FONT>'
        rows.append(f'<TD BGCOLOR="{NONFINITE}">{alarm}</TD>')
    return rows


def _value_text(canvas: Canvas, box: FoldedNode) -> list[str]:
    value = canvas.graph.value(box.anchor)
    if value is not None and value.value is not None:
        return [f"value {format_number(value.value)}"]
    shape = canvas.node(box.anchor).shape
    if box.kind in ("parameter", "input") or not shape:
        return []
    return [format_shape(shape)]


def _gradient_text(canvas: Canvas, box: FoldedNode) -> str:
    gradient = box.gradient
    if gradient.absent and not gradient.measured:
        return "no gradient"
    if gradient.entering is None:
        return f"grad {MISSING}"
    if gradient.entering == 0:
        return "<B>grad exactly 0</B>"
    start = _scalar(canvas.graph.gradient(box.anchor))
    if not box.is_folded and start is not None:
        return f"grad {format_number(start)}"
    text = f"grad {format_number(gradient.entering)}"
    end = gradient.leaving
    if end is None and gradient.turns:
        end = gradient.turns[-1]
    if box.is_folded and end is not None and format_number(end) != format_number(gradient.entering):
        change = f"{format_ratio(end / gradient.entering)}"
        if 0 in gradient.turns:
            change = f"exactly 0 from {markup(turn_name(box, gradient.turns.index(0)))} on"
        text += f" → {format_number(end)}  ({change})"
    return text


def _scalar(stats: TensorStats | None) -> float | None:
    return stats.value if stats is not None else None


def _problem(canvas: Canvas, box: FoldedNode) -> str:
    """What is not finite; empty when all is well."""
    bad = box.gradient.nonfinite
    if not bad:
        return ""
    if box.is_folded:
        count = f"{format_integer(len(bad))} of {format_integer(len(box.members))} nodes"
        return f"NaN or Inf in {count}"
    stats = canvas.graph.gradient(bad[0])
    return f"grad {_nonfinite_kinds(stats) if stats else 'NaN or Inf'}"


def _nonfinite_kinds(stats: TensorStats) -> str:
    kinds = [
        f"{name} in {format_integer(count)} of {format_integer(stats.count)}"
        for name, count in (("NaN", stats.nan_count), ("Inf", stats.inf_count))
        if count
    ]
    return ", ".join(kinds) or format_number(stats.l2_norm)


def _arrows_elsewhere(box: FoldedNode) -> list[str]:
    if not box.elsewhere:
        return []
    return _small(f"+ {format_integer(box.elsewhere)} more, tagged with its name")


def _flag_rows(canvas: Canvas, box: FoldedNode) -> Iterable[str]:
    findings = canvas.findings(box)
    for finding in findings[:_SHOWN_FLAGS]:
        color = FLAG[finding.severity]
        text = markup(f"{finding.code} {_why(box, finding)}", _SMALL_LIMIT)
        yield f'<TD BGCOLOR="{color}"><FONT COLOR="white"><B>{text}</B></FONT></TD>'
    if len(findings) > _SHOWN_FLAGS:
        yield _cell(f"<B>+ {len(findings) - _SHOWN_FLAGS} more findings</B>", 9)
    if box.is_folded and len(box.kept) > 1 and canvas.options.way is None:
        yield _cell(f"<B>{format_integer(len(box.kept))} flagged nodes inside</B>", 9)


def _why(box: FoldedNode, finding: Finding) -> str:
    """The factor at this very box where the finding is about a factor; else its name."""
    entering, leaving = box.gradient.entering, box.gradient.leaving
    if finding.code in _FLOW_CODES and entering and leaving is not None:
        return format_ratio(leaving / entering)
    return finding.name


def _title(text: str) -> str:
    return _cell(f"<B>{markup(text, _TITLE_LIMIT)}</B>", 12)


def _small(text: str) -> list[str]:
    wrapped = (part for line in text.splitlines() for part in textwrap.wrap(line, _WRAP))
    return [_cell(markup(part, _SMALL_LIMIT), _SMALL) for part in list(wrapped)[:3]]


def _cell(text: str, size: float) -> str:
    return f"<TD>{_font(text, size)}</TD>"


def _font(text: str, size: float) -> str:
    return f'<FONT POINT-SIZE="{size:g}">{text}</FONT>' if text else ""
