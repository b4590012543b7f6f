"""The plots as Vega-Lite specifications, for pictures beside Markdown and in a report's folder.

They show the numbers of ``plot_data`` in the colours of the graph, as the page's own drawings do;
see NOTE [No Vega in the page] for why the page does not draw these.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, cast

import altair as alt

from gradscope.analysis.fold import fold
from gradscope.model.finding import Report
from gradscope.render.chart import Axis, wants_log, y_axis
from gradscope.render.colors import FLAG
from gradscope.render.heat_plot import heat_plot
from gradscope.render.html_graph import level_canvas
from gradscope.render.plot_data import (
    DepthPoint,
    DepthProfile,
    Series,
    depth_profile,
    loss_series,
    norm_series,
    ratio_series,
)
from gradscope.render.plot_style import HEIGHT, INK, LINES, WIDTH, Plot, finished, spelled_powers
from gradscope.render.rows import Row, parameter_rows
from gradscope.render.safe import visible
from gradscope.render.summary import chosen_graph
from gradscope.render.units import format_integer, format_number

_BOXES = 400
_USUAL_RATIO = 1e-3
_SMALL_PLOT = 150
_TICKS = 8


def plots(report: Report, step: int | None = None) -> list[Plot]:
    """Every plot that the run has numbers for.

    Args:
        report: The report.
        step: Index of the step whose graph the plot along depth is of; as ``RenderOptions.step``.
    """
    rows = parameter_rows(report)
    found = (
        _depth_plot(report, step),
        heat_plot(rows),
        _steps_plot(report),
        _ratio_plot(rows),
    )
    return [plot for plot in found if plot is not None]


def _depth_plot(report: Report, step: int | None) -> Plot | None:
    """RMS of the gradient along depth, from the loss on."""
    chosen = chosen_graph(report, step)
    if chosen is None or not chosen.graph.backward_ran:
        return None
    canvas = level_canvas(report, chosen, fold(chosen.graph, max_nodes=_BOXES))
    profile = depth_profile(canvas)
    if len(profile.points) < 2:
        return None
    axis = y_axis((p.rms for p in profile.points), log=True)
    way = alt.Chart(_data(_place(p, axis) for p in profile.path)).mark_line(
        color="#5d6f7a", strokeWidth=2
    )
    dots = alt.Chart(
        _data({**_place(p, axis), **_look(p, canvas.scale.color(p.rms))} for p in profile.points)
    ).mark_point(filled=True, opacity=1, size=45)
    x = alt.X("x:Q", title="edges from the loss", axis=alt.Axis(tickMinStep=1, grid=False))
    drawn = alt.layer(
        way.encode(x=x, y=_log_y(axis, "RMS of the gradient"), order="x:Q"),
        dots.encode(
            x=x,
            y=_log_y(axis, "RMS of the gradient"),
            fill=alt.Fill("fill:N", scale=None),
            stroke=alt.Stroke("stroke:N", scale=None),
            strokeWidth=alt.StrokeWidth("outline:Q", scale=None),
            shape=_shapes(),
        ),
    ).properties(width=WIDTH, height=HEIGHT)
    about = _course(profile)
    return finished("depth", "Gradient from the loss to the input", about, drawn)


def _course(profile: DepthProfile) -> str:
    way = [p for p in profile.path if math.isfinite(p.rms)] or list(profile.points)
    first, last = (f"{visible(p.name)} {format_number(p.rms)}" for p in (way[0], way[-1]))
    left = f"; {format_integer(profile.left_out)} ops left out" if profile.left_out else ""
    return f"{first} at the loss, {last} at the input{left}"


def _shapes() -> alt.Shape:
    kinds, forms = ["op", "parameter or input"], ["circle", "square"]
    return alt.Shape("kind:N", scale=alt.Scale(domain=kinds, range=forms), title=None)


def _place(point: DepthPoint, axis: Axis) -> dict[str, object]:
    return {"x": point.depth, "y": _on(axis, point.rms)}


def _look(point: DepthPoint, fill: str) -> dict[str, object]:
    return {
        "kind": "parameter or input" if point.leaf else "op",
        "fill": fill,
        "stroke": FLAG[point.severity] if point.severity else "#5d6f7a",
        "outline": 2.5 if point.severity else 0.6,
    }


def _on(axis: Axis, value: float) -> float:
    """The value, moved onto the axis: zeros to its lower end, what is not finite to its upper."""
    low, high = (10.0**axis.low, 10.0**axis.high) if axis.log else (axis.low, axis.high)
    if not math.isfinite(value):
        return low if value == -math.inf else high
    return min(max(value, low), high)


def _log_y(axis: Axis, title: str) -> alt.Y:
    """A logarithmic axis with the page's spelling of powers."""
    powers = list(range(int(axis.low), int(axis.high) + 1))
    shown = powers[:: max(1, math.ceil(len(powers) / _TICKS))]
    return alt.Y(
        "y:Q",
        title=title,
        scale=alt.Scale(type="log", domain=[10.0**axis.low, 10.0**axis.high], nice=False),
        axis=alt.Axis(values=[10.0**p for p in shown], labelExpr=spelled_powers(shown)),
    )


def _steps_plot(report: Report) -> Plot | None:
    """Loss above, total gradient norm below, before and after what happens up to the update."""
    losses, norms = loss_series(report.trace), norm_series(report.trace)
    if len({x for series in (*losses, *norms) for x in series.x}) < 2:
        return None
    drawn = alt.vconcat(
        *(
            _lines(group, title)
            for group, title in ((losses, "loss"), (norms, "norm of all gradients"))
            if group
        )
    ).resolve_scale(color="independent", strokeDash="independent")
    about = "; ".join(_ends(series) for series in (*losses, *norms))
    return finished("steps", "Loss and gradient norm over steps", about, drawn)


def _ends(series: Series) -> str:
    first, last = (format_number(v) for v in (series.y[0], series.y[-1]))
    return f"{visible(series.name)} {first} → {last}"


def _lines(group: Sequence[Series], title: str) -> alt.LayerChart:
    names = [visible(series.name) for series in group]
    values = [v for series in group for v in series.y]
    log = wants_log(values)
    axis = y_axis(values, log=log)
    points = [
        {"x": x, "y": _on(axis, y), "name": name, "odd": not math.isfinite(y)}
        for name, series in zip(names, group, strict=True)
        for x, y in zip(series.x, series.y, strict=True)
    ]
    y = _log_y(axis, title) if log else _linear_y(axis, title)
    x = alt.X("x:Q", title="step", axis=alt.Axis(tickMinStep=1, grid=False))
    color = alt.Color("name:N", scale=alt.Scale(domain=names, range=LINES), title=None)
    dash = alt.StrokeDash("name:N", scale=alt.Scale(domain=names), title=None)
    chart = alt.Chart(_data(points)).encode(x=x, y=y)
    odd = chart.transform_filter("datum.odd").mark_point(shape="cross", color=FLAG["error"])
    drawn = alt.layer(chart.mark_line(strokeWidth=1.6).encode(color=color, strokeDash=dash), odd)
    return cast("alt.LayerChart", drawn.properties(width=WIDTH, height=_SMALL_PLOT))


def _linear_y(axis: Axis, title: str) -> alt.Y:
    return alt.Y("y:Q", title=title, scale=alt.Scale(domain=[axis.low, axis.high], nice=False))


def _ratio_plot(rows: Sequence[Row]) -> Plot | None:
    """RMS(change) / RMS(value) per update, a line for each parameter."""
    found = [series for series in ratio_series(rows) if len(series.x) > 1]
    values = [v for series in found for v in series.y]
    if not any(v > 0 for v in values):
        return None
    axis = y_axis([*values, _USUAL_RATIO], log=True)
    points = [
        {"x": x, "y": _on(axis, y), "line": i}
        for i, series in enumerate(found)
        for x, y in zip(series.x, series.y, strict=True)
    ]
    x = alt.X("x:Q", title="update", axis=alt.Axis(tickMinStep=1, grid=False))
    y = _log_y(axis, "RMS(change) / RMS(value)")
    lines = alt.Chart(_data(points)).mark_line(strokeWidth=1, opacity=0.5, color=LINES[0])
    usual = alt.Chart(_data([{"y": _USUAL_RATIO}])).mark_rule(color="#1b6e35", strokeDash=[4, 4])
    drawn = alt.layer(
        lines.encode(x=x, y=y, detail="line:N"), usual.encode(y=y), *_extremes(found, axis, x, y)
    ).properties(width=WIDTH, height=HEIGHT)
    shown = format_integer(len(found))
    about = (
        f"{shown} parameters, {format_number(min(values))} to {format_number(max(values))}; "
        f"the dashed line at 0.001 is about usual"
    )
    return finished("ratio", "How far updates move the weights", about, drawn)


def _extremes(found: Sequence[Series], axis: Axis, x: alt.X, y: alt.Y) -> list[alt.Chart]:
    """Names at the ends of the highest and the lowest line: a picture has no mouse."""
    ranked = sorted(found, key=lambda series: series.y[-1])
    ends = {id(s): (s, dy) for s, dy in ((ranked[0], 12), (ranked[-1], -7))}
    return [
        _named(series, dy, axis).encode(x=x, y=y, text="name:N") for series, dy in ends.values()
    ]


def _named(series: Series, dy: int, axis: Axis) -> alt.Chart:
    end = {"x": series.x[-1], "y": _on(axis, series.y[-1]), "name": visible(series.name, 40)}
    mark = alt.Chart(_data([end])).mark_text(align="right", dy=dy, fontSize=10, color=INK)
    return cast("alt.Chart", mark)


def _data(rows: Iterable[dict[str, Any]]) -> alt.InlineData:
    return alt.InlineData(values=list(rows))
