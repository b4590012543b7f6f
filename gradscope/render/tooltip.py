"""All numbers of a box, shown when the mouse rests on it."""

from __future__ import annotations

from collections.abc import Iterator

from gradscope.analysis.folded import FoldedEdge, FoldedNode
from gradscope.model.graph import Node
from gradscope.model.stats import TensorStats
from gradscope.render.canvas import Canvas
from gradscope.render.quoting import attribute, plain
from gradscope.render.strip import evenly, turn_name
from gradscope.render.traits import trait_lines
from gradscope.render.units import (
    format_integer,
    format_number,
    format_percent,
    format_shape,
)

_SHOWN_OPS = 8
_SHOWN_LEAVES = 12
_SHOWN_TURNS = 12
_LINE = 120


def tooltip(canvas: Canvas, box: FoldedNode) -> str:
    """The tooltip of a box as a quoted attribute."""
    lines = _folded_lines(canvas, box) if box.is_folded else _node_lines(canvas, box)
    findings = (f"{f.code} {f.name}: {f.message}" for f in canvas.findings(box))
    return attribute(*(plain(line, _LINE) for line in (*lines, *findings)))


def edge_tooltip(canvas: Canvas, edge: FoldedEdge) -> str:
    """The tooltip of an arrow as a quoted attribute."""
    lines = []
    if edge.is_absent:
        lines.append("no gradient")
    elif edge.gradient is not None:
        lines.append(f"gradient rms {format_number(edge.gradient)}")
    if edge.count > 1:
        lines.append(f"{format_integer(edge.count)} edges")
    return attribute(*(lines or ["not measured" if canvas.graph.backward_ran else "no backward"]))


def _node_lines(canvas: Canvas, box: FoldedNode) -> Iterator[str]:
    node = canvas.node(box.anchor)
    is_leaf = box.kind in ("parameter", "input")
    yield f"{node.kind}: {canvas.leaf_name(node.id) if is_leaf else canvas.op_title(node)}"
    yield f"{node.op} (node {node.id})"
    for name, stats in (("value", canvas.graph.value(node.id)), *_gradients(canvas, node)):
        if stats is not None:
            yield f"{name}: {stats_text(stats)}"
    yield from trait_lines(node, canvas.graph.traits.get(node.id))
    if box.gradient.absent and not box.gradient.measured:
        yield "gradient: none arrived"
    joined = [canvas.node(member).op for member in box.members if member != node.id]
    if joined:
        yield f"with {', '.join(joined)}"
    yield from _place(node)


def _gradients(canvas: Canvas, node: Node) -> Iterator[tuple[str, TensorStats | None]]:
    for nr in range(node.inputs):
        name = "gradient" if node.inputs == 1 else f"gradient of output {nr}"
        yield name, canvas.graph.gradient(node.id, nr)


def stats_text(stats: TensorStats) -> str:
    """One tensor: ``[64, 32] float32, rms 0.5, min -1, max 1, 12% zero``."""
    parts = [f"{format_shape(stats.shape)} {stats.dtype}".strip()]
    if stats.value is not None:
        parts.append(format_number(stats.value))
    elif stats.rms is not None:
        parts.append(f"rms {format_number(stats.rms)}")
        parts.append(f"min {format_number(stats.min)}, max {format_number(stats.max)}")
    if stats.zero_fraction:
        sampled = " (sampled)" if stats.zero_sampled else ""
        parts.append(f"{format_percent(stats.zero_fraction)} zero{sampled}")
    for name, count in (("NaN", stats.nan_count), ("Inf", stats.inf_count)):
        if count:
            parts.append(f"{format_integer(count)} {name}")
    return ", ".join(parts)


def _place(node: Node) -> Iterator[str]:
    if node.module:
        call = f", call {node.module_call}" if node.module_call else ""
        yield f"in {node.module} ({node.module_type}{call})"
    if node.source is not None:
        yield f"{node.source.location}: {node.source.text}"
    if node.iteration > 1:
        yield f"turn {format_integer(node.iteration)}"


def _folded_lines(canvas: Canvas, box: FoldedNode) -> Iterator[str]:
    times = f" ×{format_integer(box.count)}" if box.kind == "loop" else ""
    yield f"{box.title} {box.path}{times}".strip()
    yield f"{format_integer(len(box.members))} nodes inside"
    gradient = box.gradient
    if canvas.graph.backward_ran:
        ends = f"{format_number(gradient.entering)} in, {format_number(gradient.leaving)} out"
        yield f"gradient rms: {ends}"
        yield f"inside: {format_number(gradient.smallest)} to {format_number(gradient.largest)}"
    yield from _counts(box)
    if gradient.turns:
        shown = evenly(len(gradient.turns), _SHOWN_TURNS)
        told = (f"{format_number(gradient.turns[i])} ({turn_name(box, i)})" for i in shown)
        yield f"from the loss on: {', '.join(told)}"
    if box.ops:
        yield ", ".join(f"{op} ×{format_integer(n)}" for op, n in box.ops[:_SHOWN_OPS])
    for leaf in box.leaves[:_SHOWN_LEAVES]:
        rms = format_number(canvas.graph.gradient_rms(leaf))
        shape = format_shape(canvas.node(leaf).shape)
        yield f"{canvas.leaf_name(leaf)} {shape}: gradient rms {rms}"
    if len(box.leaves) > _SHOWN_LEAVES:
        yield f"and {format_integer(len(box.leaves) - _SHOWN_LEAVES)} more parameters"


def _counts(box: FoldedNode) -> Iterator[str]:
    gradient = box.gradient
    for what, nodes in (
        ("a gradient with NaN or Inf", gradient.nonfinite),
        ("a gradient of exactly 0", gradient.zero),
        ("no gradient", gradient.absent),
    ):
        if nodes:
            yield f"{format_integer(len(nodes))} nodes with {what}"
