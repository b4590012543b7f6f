"""The graph of the HTML report: how far to fold it, and what surrounds each drawing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from markupsafe import Markup

from gradscope.analysis.fold import fold
from gradscope.analysis.folded import FoldedGraph, FoldedNode
from gradscope.errors import ImageError
from gradscope.model.finding import Report
from gradscope.model.graph import Graph
from gradscope.render.canvas import Canvas, PictureOptions, canvas_for
from gradscope.render.colors import NONFINITE, UNMEASURED, ZERO, text_on
from gradscope.render.dot import to_dot
from gradscope.render.engine import TooLongError
from gradscope.render.image import render_svgs
from gradscope.render.inline_svg import inline_svg
from gradscope.render.names import box_name
from gradscope.render.rows import all_findings
from gradscope.render.safe import visible
from gradscope.render.summary import Chosen, chosen_graph, plural
from gradscope.render.units import format_integer, format_number, power

_OVERVIEW, _PAGE, _MOST = 24, 90, 400  # boxes
_DEEPEST = 4
_ALL_THE_WAY = 99
_TRIED_NODES = 20_000  # beyond that, every trial folding would be felt
_READABLE = 90  # boxes
_LOW, _NARROW = 2_200, 1_700  # points; some three screens, and names legible across one
_CROWDED = 3  # edges per box
_LINE = 300  # characters

_COARSE_S, _FINE_S = 20.0, 3.0
"""Seconds for the coarsest level, and for the others: a page is to be there soon."""

Draw = Callable[[Sequence[str], Sequence[float]], list[bytes | ImageError]]


@dataclass(frozen=True)
class Level:
    """How far one level is folded.

    Attributes:
        canvas: Its boxes.
        max_nodes: How many there may be.
        depth: Deepest module shown open; None: as it fits.
    """

    canvas: Canvas
    max_nodes: int
    depth: int | None

    @property
    def advice(self) -> str:
        """How to draw it by itself."""
        depth = "" if self.depth is None else f" --depth {self.depth}"
        return f"`gradscope render -o graph.svg --max-nodes {self.max_nodes}{depth}` draws it"


@dataclass(frozen=True)
class Picture:
    """One level of folding, laid out.

    Attributes:
        name: ``modules``, ``blocks`` or ``ops``; begins the ids of its boxes.
        folded: The boxes.
        svg: Graphviz's drawing of them.
    """

    name: str
    folded: FoldedGraph
    svg: str


def levels(graph: Graph) -> list[tuple[str, int, int | None]]:
    """How to fold for each level, coarsest first: name, ``max_nodes`` and ``depth``."""
    return [
        ("modules", _OVERVIEW, None),
        ("blocks", _PAGE, _block_depth(graph)),
        ("ops", _MOST, _ALL_THE_WAY),
    ]


def _block_depth(graph: Graph) -> int:
    """The deepest level of modules that still fits a page."""
    if len(graph.structure.nodes) > _TRIED_NODES:
        return 1
    fits = 0
    for depth in range(1, _DEEPEST + 1):
        # Asked for more than a page, folding shows whether a page would have been enough.
        if len(fold(graph, max_nodes=_MOST, depth=depth).nodes) > _PAGE:
            break
        fits = depth
    return fits


def draw_pictures(
    report: Report,
    step: int | None = None,
    draw: Draw = render_svgs,
    say: Callable[[str], None] = lambda _: None,
) -> tuple[list[Picture], list[str]]:
    """Every level of the graph that the report shows, laid out, and why any is missing.

    Levels that look alike are drawn once.
    """
    chosen = chosen_graph(report, step)
    if chosen is None:
        return [], []
    wanted, problems = _distinct(report, chosen)
    say(f"the graph, level{'s' if len(wanted) > 1 else ''} {', '.join(name for name, _ in wanted)}")
    limits = [_COARSE_S, *([_FINE_S] * (len(wanted) - 1))]
    drawn = draw([_dot(level.canvas) for _, level in wanted], limits)
    pictures = []
    for (name, level), svg in zip(wanted, drawn, strict=True):
        if isinstance(svg, ImageError):
            problems.append(f"The graph's level {name} is missing: {_why(svg, level)}")
        else:
            pictures.append(Picture(name, level.canvas.folded, svg.decode()))
    return pictures, problems


def _why(error: ImageError, level: Level) -> str:
    if not isinstance(error, TooLongError):
        return str(error)
    return f"Graphviz needed more than {error.limit_s:g} s; {level.advice}, with more patience."


def _distinct(report: Report, chosen: Chosen) -> tuple[list[tuple[str, Level]], list[str]]:
    """The levels worth drawing, coarsest first, and why a finer one is not."""
    wanted = levels(chosen.graph)
    found = []
    for _, most, depth in wanted:
        folded = fold_level(report, chosen, most, depth)
        found.append(Level(level_canvas(report, chosen, folded), most, depth))
    found.sort(key=lambda level: len(level.canvas.folded.nodes))
    # The coarsest stays in any case; of the others, no one could follow the lines.
    clear = [x for i, x in enumerate(found) if i == 0 or _crowding(x.canvas) <= _CROWDED]
    different = [list(same)[-1] for _, same in groupby(clear, key=_boxes)]
    names = [name for name, _, _ in wanted]
    # Ops are only called so where every op has its box, unless there are all three levels.
    is_folded = different[-1].canvas.folded.is_folded
    start = 0 if is_folded else len(names) - len(different)
    named = list(zip(names[start : start + len(different)], different, strict=True))
    return named, [] if clear[-1] is found[-1] else [_tangle(found[-1])]


def _tangle(level: Level) -> str:
    boxes = format_integer(len(level.canvas.folded.nodes))
    return (
        f"A finer level of the graph, with {boxes} boxes, is left out: it has too many arrows for"
        f" anyone to follow; {level.advice} all the same."
    )


def _crowding(canvas: Canvas) -> float:
    """Arrows per box, tags apart."""
    tags = canvas.tags
    arrows = [e for e in canvas.drawn.edges if e.source not in tags and e.target not in tags]
    return len(arrows) / len(canvas.folded.nodes)


def _boxes(level: Level) -> frozenset[frozenset[int]]:
    return frozenset(frozenset(box.members) for box in level.canvas.folded.nodes)


def _dot(canvas: Canvas) -> str:
    findings = {id(f): f for about in canvas.flags.values() for f in about}
    return to_dot(
        canvas.graph, canvas.folded, canvas.options, list(findings.values()), canvas.parameters
    )


def fold_level(report: Report, chosen: Chosen, max_nodes: int, depth: int | None) -> FoldedGraph:
    """The graph folded, with the flagged nodes kept visible."""
    found = all_findings(report.findings)
    here = (f for f in found if f.where.step is not None and f.where.step == chosen.step)
    keep = frozenset(node for finding in here for node in finding.where.nodes)
    return fold(chosen.graph, max_nodes=max_nodes, depth=depth, keep=keep)


def level_canvas(report: Report, chosen: Chosen, folded: FoldedGraph) -> Canvas:
    """What a drawing of these boxes needs; the page itself says what a legend would."""
    options = PictureOptions(step=chosen.step, legend=False)
    findings = list(all_findings(report.findings))
    return canvas_for(chosen.graph, folded, options, findings, report.trace.parameters)


@dataclass(frozen=True)
class LevelView:
    """One level as the page shows it.

    Attributes:
        name: Its name.
        label: What its button says.
        svg: The drawing.
        swatches: Colours of the gradient with their numbers: background, text colour, text.
        special: Colours that the scale does not have, in the same way.
        lines: Every box in words, from the loss on.
        shown: Whether it is the one shown first.
    """

    name: str
    label: str
    svg: Markup
    swatches: Sequence[tuple[str, str, str]]
    special: Sequence[tuple[str, str, str]]
    lines: Sequence[str]
    shown: bool = False


def level_views(report: Report, chosen: Chosen, pictures: Sequence[Picture]) -> list[LevelView]:
    """The levels in order; the finest that a person can still read at once is shown first."""
    readable = [p.name for p in pictures if len(p.folded.nodes) <= _READABLE and _is_small(p.svg)]
    first = readable[-1] if readable else pictures[0].name if pictures else ""
    return [_view(report, chosen, picture, picture.name == first) for picture in pictures]


def _is_small(svg: str) -> bool:
    found = re.search(r'viewBox="[\d.]+ [\d.]+ ([\d.]+) ([\d.]+)"', svg)
    return found is None or (float(found[1]) <= _NARROW and float(found[2]) <= _LOW)


def _view(report: Report, chosen: Chosen, picture: Picture, shown: bool) -> LevelView:
    canvas = level_canvas(report, chosen, picture.folded)
    scale = canvas.scale
    count = len(picture.folded.nodes)
    colors = [(power, scale.tick_color(power)) for power in scale.ticks(10)]
    ran = canvas.graph.backward_ran
    about = f"gradient graph, level {picture.name}, {format_integer(count)} boxes"
    return LevelView(
        name=picture.name,
        label=f"{picture.name} ({format_integer(count)})",
        svg=Markup(inline_svg(picture.svg, picture.name, about)),
        swatches=[(c, text_on(c), power(p)) for p, c in colors] if ran else [],
        special=list(_special(picture.folded.nodes)) if ran else [],
        lines=[visible(box_line(canvas, box), _LINE) for box in reversed(picture.folded.nodes)],
        shown=shown,
    )


def _special(boxes: Iterable[FoldedNode]) -> Iterable[tuple[str, str, str]]:
    gradients = [box.gradient for box in boxes]
    if any(g.nonfinite for g in gradients):
        yield NONFINITE, text_on(NONFINITE), "NaN or Inf"
    if any(0.0 in (g.entering, *g.turns) for g in gradients):
        yield ZERO, text_on(ZERO), "exactly 0"
    if any(g.entering is None for g in gradients):
        yield UNMEASURED, text_on(UNMEASURED), "none or not measured"


def box_line(canvas: Canvas, box: FoldedNode) -> str:
    """A box in one line of words."""
    name = box_name(canvas, box)
    gradient = box.gradient
    told = [f"gradient {format_number(gradient.entering)}"]
    if box.is_folded:
        name = f"{name} ({plural(len(box.members), 'node')})"
        if gradient.leaving is not None:
            told = [f"{told[0]} in, {format_number(gradient.leaving)} out"]
    if gradient.absent and not gradient.measured:
        told = ["no gradient"]
    told += [f.code for f in canvas.findings(box)]
    return f"{name}: {', '.join(told)}" if canvas.graph.backward_ran else name
