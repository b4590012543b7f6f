"""The numbers behind the plots: what is drawn, in which order, thinned where there is too much."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gradscope.analysis.flow import flow
from gradscope.analysis.paths import deepest_node
from gradscope.model.finding import Severity
from gradscope.model.trace import Parameter, Trace
from gradscope.render.canvas import Canvas
from gradscope.render.depth import longest_distances
from gradscope.render.json import step_norms
from gradscope.render.names import node_name
from gradscope.render.rows import Row
from gradscope.render.strip import evenly
from gradscope.render.summary import plural, top_level
from gradscope.render.thin import spread

_MOST_POINTS = 1_200
_MOST_ROWS, _MOST_COLUMNS = 240, 400
_MOST_STEPS = 600
_MOST_LINES, _LINE_POINTS = 60, 100


@dataclass(frozen=True, slots=True)
class DepthPoint:
    """The gradient at one node.

    Attributes:
        node: Its id.
        depth: Edges on the longest way from a root.
        rms: RMS of the gradient; may be zero or not finite.
        name: What it is called.
        leaf: Whether it is a parameter or an input.
        severity: Of the worst finding about it; None without any.
    """

    node: int
    depth: int
    rms: float
    name: str
    leaf: bool
    severity: Severity | None = None


@dataclass(frozen=True)
class DepthProfile:
    """Gradients along depth.

    Attributes:
        points: By depth.
        path: Those on the way along which most of the gradient goes to the deepest leaf.
        left_out: Points that were too many to draw.
    """

    points: tuple[DepthPoint, ...]
    path: tuple[DepthPoint, ...]
    left_out: int = 0


def depth_profile(canvas: Canvas) -> DepthProfile:
    """The gradient's size at every node, from the loss on."""
    nodes = canvas.graph.structure.nodes
    depths = longest_distances(canvas.graph.structure)
    measured = [node.id for node in nodes if canvas.graph.gradient_rms(node.id) is not None]
    if not measured:
        return DepthProfile((), ())
    deepest = deepest_node(canvas.graph.structure)
    hops = flow(canvas.graph, deepest).hops if deepest is not None else ()
    path = [hop.node for hop in hops]
    always = [i for i, node in enumerate(measured) if node in canvas.flags or node in set(path)]
    kept = [measured[i] for i in spread(len(measured), _MOST_POINTS, always)]
    points = {node: _depth_point(canvas, node, depths[node]) for node in kept}
    return DepthProfile(
        points=tuple(sorted(points.values(), key=lambda p: (p.depth, p.node))),
        path=tuple(points[node] for node in path if node in points),
        left_out=len(measured) - len(kept),
    )


def _depth_point(canvas: Canvas, node_id: int, depth: int) -> DepthPoint:
    rms = canvas.graph.gradient_rms(node_id)
    flags = canvas.flags.get(node_id, ())
    return DepthPoint(
        node=node_id,
        depth=depth,
        rms=math.nan if rms is None else rms,
        name=node_name(canvas, node_id),
        leaf=canvas.node(node_id).kind in ("parameter", "input"),
        severity=flags[0].severity if flags else None,
    )


@dataclass(frozen=True)
class Series:
    """One line of a plot.

    Attributes:
        name: What it is.
        x: Where.
        y: How much; not finite where there is nothing to draw.
        key: Index of the parameter it belongs to, or None.
    """

    name: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    key: int | None = None


def loss_series(trace: Trace) -> list[Series]:
    """The loss over steps, one line for each thing that backward was called on."""
    groups: dict[str, list[tuple[int, float]]] = {}
    for step in top_level(trace):
        if step.loss is not None and step.kind == "backward":
            place = step.source.location if step.source else ""
            groups.setdefault(place, []).append((step.index, step.loss))
    named = len(groups) > 1
    return [
        _thinned(Series(f"loss {name}" if named else "loss", *_columns(points)))
        for name, points in groups.items()
    ]


def norm_series(trace: Trace) -> list[Series]:
    """The total gradient norm as backward left it, and as the update after it found it."""
    arrived = sorted(step_norms(trace).items())
    used: dict[int, float] = {}
    for parameter in trace.parameters:
        history = parameter.updates
        for update, norm in zip(history.update, history.grad_norm, strict=True):
            if 0 <= update < len(trace.updates) and not math.isnan(norm):
                step = trace.updates[update].after_step
                used[step] = math.hypot(used.get(step, 0.0), norm)
    found = [
        ("gradient norm in backward", arrived),
        ("gradient norm at the update", sorted(used.items())),
    ]
    return [_thinned(Series(name, *_columns(points))) for name, points in found if points]


def ratio_series(rows: Sequence[Row]) -> list[Series]:
    """RMS(change) / RMS(value) per update, a line for each of at most some sixty parameters."""
    known = [row.parameter for row in rows if row.ratio is not None]
    return [_ratio_line(known[i]) for i in evenly(len(known), _MOST_LINES)]


def _ratio_line(parameter: Parameter) -> Series:
    history = parameter.updates
    ratios = (
        change / value if value > 0 else math.nan
        for change, value in zip(history.update_rms, history.value_rms, strict=True)
    )
    points = [(u, r) for u, r in zip(history.update, ratios, strict=True) if math.isfinite(r)]
    kept = [points[i] for i in spread(len(points), _LINE_POINTS)]
    return Series(parameter.name, *_columns(kept), key=parameter.index)


def _columns(points: Iterable[tuple[float, float]]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    found = list(points)
    return tuple(x for x, _ in found), tuple(y for _, y in found)


def _thinned(series: Series) -> Series:
    """At most some hundred points; what is not finite always stays."""
    odd = [i for i, y in enumerate(series.y) if not math.isfinite(y)]
    kept = spread(len(series.x), _MOST_STEPS, odd)
    return Series(series.name, tuple(series.x[i] for i in kept), tuple(series.y[i] for i in kept))


@dataclass(frozen=True)
class HeatMap:
    """The RMS of every parameter's gradient in every step.

    Attributes:
        parameters: Rows, from the loss to the input.
        steps: Columns.
        cells: Per row and column; None where no gradient arrived or nobody looked.
        left_out: What was thinned, in words; empty when nothing was.
    """

    parameters: tuple[Parameter, ...]
    steps: tuple[int, ...]
    cells: tuple[tuple[float | None, ...], ...]
    left_out: str = ""


def heat_map(
    rows: Sequence[Row], most_rows: int = _MOST_ROWS, most_columns: int = _MOST_COLUMNS
) -> HeatMap:
    """Parameters × steps; empty where no gradient arrived twice."""
    known = [row.parameter for row in rows if len(row.parameter.gradients)]
    flagged = [i for i, row in enumerate(rows) if row.flags and len(row.parameter.gradients)]
    shown = [
        known[i] for i in spread(len(known), most_rows, [i for i in flagged if i < len(known)])
    ]
    steps = sorted({step for parameter in shown for step in parameter.gradients.step})
    columns = [steps[i] for i in spread(len(steps), most_columns)]
    if len(columns) < 2:
        return HeatMap((), (), ())
    missing = [
        f"{plural(all_of - drawn, noun)} left out"
        for all_of, drawn, noun in (
            (len(known), len(shown), "parameter"),
            (len(steps), len(columns), "step"),
        )
        if all_of > drawn
    ]
    cells = tuple(_heat_row(parameter, columns) for parameter in shown)
    return HeatMap(tuple(shown), tuple(columns), cells, ", ".join(missing))


def _heat_row(parameter: Parameter, columns: Sequence[int]) -> tuple[float | None, ...]:
    history, size = parameter.gradients, math.sqrt(max(parameter.count, 1))
    found = {
        step: norm / size
        for step, norm, arrived in zip(history.step, history.norm, history.arrived, strict=True)
        if arrived
    }
    return tuple(found.get(step) for step in columns)
