"""The folded graph as DOT: what to look at, in Graphviz's language. Pure text to text."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from gradscope.analysis.describe import relative
from gradscope.analysis.folded import Cluster, FoldedEdge, FoldedGraph, FoldedNode
from gradscope.analysis.tags import ranks_passed
from gradscope.model.finding import Finding
from gradscope.model.graph import Graph
from gradscope.model.trace import Parameter
from gradscope.render.beside import beside
from gradscope.render.canvas import Canvas, PictureOptions, canvas_for
from gradscope.render.colors import ABSENT, FLAG, NONFINITE, text_on
from gradscope.render.labels import label
from gradscope.render.legend import heading
from gradscope.render.quoting import attribute, markup, plain
from gradscope.render.tag import tag_look, tag_tooltip
from gradscope.render.tooltip import edge_tooltip, tooltip
from gradscope.render.way import arrow_on_way, box_on_way

__all__ = ["PictureOptions", "to_dot"]

FONT = "Helvetica,Arial,sans-serif"
_LINE = "#455a64"
_GREY = "#78909c"
_FRAMES = ("#f5f7f8", "#eceff1")
_THIN, _THICK = 0.8, 4.0  # points
_TANGLED = 3_000  # ranks passed; a page of a real network has a few hundred
_HASTY = ", nslimit=1, nslimit1=1, mclimit=0.1, splines=line"
"""Graphviz's search for the best layout cut short: of a tangle, no layout is good."""


def to_dot(
    graph: Graph,
    folded: FoldedGraph,
    options: PictureOptions | None = None,
    findings: Sequence[Finding] = (),
    parameters: Sequence[Parameter] = (),
) -> str:
    """The picture in the DOT language.

    Args:
        graph: The graph.
        folded: What ``fold`` made of it.
        options: How to draw it.
        findings: Findings to mark.
        parameters: The trace's parameters, for the names of leaves.
    """
    canvas = canvas_for(graph, folded, options or PictureOptions(), findings, parameters)
    arrows = (_edge(canvas, edge) for edge in canvas.drawn.edges)
    lines = [*_preamble(canvas), *_boxes(canvas), *arrows, "}"]
    return "\n".join(lines) + "\n"


def _preamble(canvas: Canvas) -> list[str]:
    title = attribute(plain(canvas.options.title or "gradient graph", 100))
    font = f'fontname="{FONT}"'
    haste = _HASTY if ranks_passed(canvas.drawn) > _TANGLED else ""
    return [
        "digraph gradscope {",
        f"  graph [rankdir={canvas.options.rankdir}, bgcolor=white, {font}, fontsize=11,"
        f" labelloc=t, labeljust=l, nodesep=0.25, ranksep=0.3, tooltip={title},"
        f" label={heading(canvas)}{haste}]",
        f'  node [{font}, fontsize=10, shape=box, style="filled,rounded", color="{_LINE}",'
        ' margin="0.08,0.04", height=0.2, width=0.3]',
        f'  edge [{font}, fontsize=9, color="{_LINE}", arrowsize=0.6]',
    ]


def _boxes(canvas: Canvas) -> Iterator[str]:
    """Boxes inside the frames of their modules, frame within frame."""
    inside: defaultdict[int, list[FoldedNode]] = defaultdict(list)
    frames: defaultdict[int, list[Cluster]] = defaultdict(list)
    for box in reversed(canvas.drawn.nodes):  # from the loss on
        inside[box.cluster].append(box)
    for cluster in canvas.folded.clusters:
        frames[cluster.parent].append(cluster)
    rows: defaultdict[int, list[str]] = defaultdict(list)
    for frame_index, ids in beside(canvas.drawn):
        rows[frame_index].append(f"{{rank=same; {'; '.join(ids)}}}")
    yield from (f"  {line}" for line in [*_lines(canvas, inside[-1]), *rows[-1]])
    waiting: list[Cluster | str] = [*frames[-1]]
    while waiting:
        entry = waiting.pop()
        if isinstance(entry, str):
            yield entry
            continue
        frame = entry
        yield _frame(canvas, frame)
        lines = [*_lines(canvas, inside[frame.index]), *rows[frame.index]]
        yield from (f"    {line}" for line in lines)
        waiting += ["  }", *frames[frame.index]]


def _lines(canvas: Canvas, boxes: Iterable[FoldedNode]) -> Iterator[str]:
    return (_box(canvas, box) for box in boxes)


def _frame(canvas: Canvas, frame: Cluster) -> str:
    around = canvas.folded.clusters[frame.parent].name if frame.parent >= 0 else ""
    level = 0
    parent = frame.parent
    while parent >= 0:
        level, parent = level + 1, canvas.folded.clusters[parent].parent
    name = markup(relative(frame.name, around)) if frame.name else ""
    text = f"<B>{markup(frame.type)}</B> {name}"
    return (
        f"  subgraph cluster_{frame.index} {{ label=<{text}>; labeljust=l; fontsize=11;"
        f' style="filled,rounded"; color="#b0bec5"; fillcolor="{_FRAMES[level % len(_FRAMES)]}";'
        f" tooltip={attribute(plain(f'{frame.name} ({frame.type})', 200))};"
    )


def _box(canvas: Canvas, box: FoldedNode) -> str:
    look = tag_look if box.kind == "tag" else _look_of_own
    attributes = {**look(canvas, box), **box_on_way(canvas.options.way, box)}
    told = ", ".join(f"{key}={value}" for key, value in attributes.items())
    return f"{box.id} [{told}]"


def _look_of_own(canvas: Canvas, box: FoldedNode) -> dict[str, str]:
    return {
        "id": f'"{box.id}"',
        "label": label(canvas, box),
        "tooltip": tooltip(canvas, box),
        **_look(canvas, box),
        **_mark(canvas, box),
    }


def _look(canvas: Canvas, box: FoldedNode) -> dict[str, str]:
    gradient = box.gradient
    absent = bool(gradient.absent) and not gradient.measured and canvas.graph.backward_ran
    if absent:
        fill = ABSENT
    elif gradient.nonfinite and not box.is_folded:
        fill = NONFINITE
    elif box.kind == "loop" or not canvas.graph.backward_ran:
        fill = "#ffffff"
    else:
        fill = canvas.scale.color(gradient.entering)
    look = {"fillcolor": f'"{fill}"', "fontcolor": f'"{_GREY if absent else text_on(fill)}"'}
    corners = box.kind in ("parameter", "input", "leaves", "loss")
    styles = ["filled", *([] if corners else ["rounded"]), *(["dashed"] if absent else [])]
    look["style"] = f'"{",".join(styles)}"'
    if box.kind == "loss":
        look |= {"penwidth": "3", "color": "black"}
    if box.kind == "input":
        look["shape"] = "note"
    if absent:
        look["color"] = f'"{_GREY}"'
    if box.kind == "loop":
        look |= {"peripheries": "2"}
    if box.plumbing:
        look |= {"margin": '"0.03,0"', "height": "0.1", "color": f'"{_GREY}"', "penwidth": "0.5"}
    return look


def _mark(canvas: Canvas, box: FoldedNode) -> dict[str, str]:
    """The outline of a box with findings or with NaN and Inf in it."""
    findings = canvas.findings(box)
    if findings:
        worst = min(findings, key=lambda f: list(FLAG).index(f.severity))
        return {"color": f'"{FLAG[worst.severity]}"', "penwidth": "4"}
    if box.gradient.nonfinite:
        return {"color": f'"{NONFINITE}"', "penwidth": "3"}
    return {}


def _edge(canvas: Canvas, edge: FoldedEdge) -> str:
    tag = canvas.tags.get(edge.source) or canvas.tags.get(edge.target)
    told = tag_tooltip(canvas, tag) if tag is not None else edge_tooltip(canvas, edge)
    attributes = {"tooltip": told, "penwidth": f"{_width(canvas, edge):.2g}"}
    if edge.is_absent:
        attributes |= {"style": "dashed", "color": f'"{_GREY}"'}
    elif edge.gradient is not None and not math.isfinite(edge.gradient):
        attributes["color"] = f'"{NONFINITE}"'
    attributes |= arrow_on_way(canvas.options.way, edge)
    told = ", ".join(f"{key}={value}" for key, value in attributes.items())
    return f"  {edge.source} -> {edge.target} [{told}]"


def _width(canvas: Canvas, edge: FoldedEdge) -> float:
    if edge.gradient is None or edge.gradient == 0:
        return _THIN
    if not math.isfinite(edge.gradient):
        return _THICK
    return _THIN + (_THICK - _THIN) * canvas.scale.position(edge.gradient)
