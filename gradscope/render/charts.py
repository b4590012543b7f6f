"""The plots of the HTML report, drawn so that a script can say what the mouse is over.

Every mark carries its words in ``data-t`` and, where it belongs to a node of the graph, that
node's id in ``data-n``.

NOTE [No Vega in the page] Vega, Vega-Lite and vega-embed as vl-convert bundles them are 0.9 MB of
script in every page, take 1.2 s to bundle and 1.1 s for the first static drawing (measured with
vl-convert 1.9 on two cores), while a report of a small script is to take 2 s in all. They cannot
follow the page's light or dark style without being drawn again, and show nothing without script.
So the page draws its own small SVG; ``plots`` has the same numbers as Vega-Lite specifications.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from gradscope.model.finding import Report
from gradscope.render import chart
from gradscope.render.canvas import Canvas
from gradscope.render.colors import Scale
from gradscope.render.plot_data import (
    DepthPoint,
    DepthProfile,
    Series,
    depth_profile,
    loss_series,
    norm_series,
    ratio_series,
)
from gradscope.render.rows import Row
from gradscope.render.safe import LINE_LIMIT, visible
from gradscope.render.units import format_integer, format_number

_FEW_POINTS = 200
_USUAL_RATIO = 1e-3
"""Updates of about a thousandth of the value are usual (Karpathy, "A Recipe for Training Neural
Networks", 2019)."""


@dataclass(frozen=True)
class Figure:
    """One plot on the page.

    Attributes:
        key: Its id.
        title: Its heading.
        svg: The drawing.
        caption: How to read it.
        keys: Line styles and what they mean.
    """

    key: str
    title: str
    svg: Markup
    caption: str
    keys: Sequence[tuple[str, str]] = ()


def depth_figure(canvas: Canvas, title: str) -> Figure | None:
    """Gradient RMS from the loss to the input; None where no gradient was measured."""
    profile = depth_profile(canvas)
    points = profile.points
    if len(points) < 2:
        return None
    x = chart.x_axis([p.depth for p in points])
    y = chart.y_axis((p.rms for p in points), log=True)
    way = [p for p in profile.path if math.isfinite(p.rms)] or list(points)
    last = _end_of(profile)
    about = f"From {_words(way[0])} at the loss to {_words(last)} at the input."
    line = chart.polyline([(x.place(p.depth), y.place(p.rms)) for p in way], "way")
    size = 3.0 if len(points) <= _FEW_POINTS else 2.0
    dots = "".join(_point(x, y, canvas.scale, p, size) for p in points)
    ends = (
        chart.label(x.start, y.start + 20, f"loss {format_number(way[0].rms)}", anchor="start"),
        chart.label(x.end, y.start + 20, f"{format_number(last.rms)} input", anchor="end"),
    )
    named = chart.tag("g", "".join(ends), class_="ends")
    drawn = chart.frame(x, y, "", "RMS of the gradient, log") + line + dots + named
    caption = "Every dot is an op, every square a parameter; the line is the way most of it takes."
    if not all(math.isfinite(p.rms) for p in points):
        caption += " Red, at the top: NaN or Inf."
    if profile.left_out:
        caption += f" {format_integer(profile.left_out)} ops are left out."
    return Figure("depth", title, Markup(chart.svg(drawn, about)), caption)


def _end_of(profile: DepthProfile) -> DepthPoint:
    """The end of the way, or what is not finite behind it."""
    end = (profile.path or profile.points)[-1]
    odd = (p for p in profile.points if p.depth > end.depth and not math.isfinite(p.rms))
    return next(odd, end)


def _words(point: DepthPoint) -> str:
    return f"{visible(point.name)} {format_number(point.rms)}"


def _point(x: chart.Axis, y: chart.Axis, scale: Scale, point: DepthPoint, size: float) -> str:
    at, height = x.place(point.depth), y.place(point.rms)
    kind = f"dot {point.severity}" if point.severity else "dot"
    told = {
        "class_": kind,
        "fill": scale.color(point.rms),
        "data_n": point.node,
        "data_t": f"{visible(point.name, LINE_LIMIT)}: gradient {format_number(point.rms)}",
    }
    if point.leaf:
        return chart.tag(
            "rect", x=at - size, y=height - size, width=2 * size, height=2 * size, **told
        )
    return chart.tag("circle", cx=at, cy=height, r=size + 1.5 if point.severity else size, **told)


def steps_figure(report: Report) -> Figure | None:
    """Loss and total gradient norm over steps; None for a single step."""
    losses, norms = loss_series(report.trace), norm_series(report.trace)
    xs = [x for series in (*losses, *norms) for x in series.x]
    if len(set(xs)) < 2:
        return None
    height = 2 * chart.HEIGHT - 60
    x = chart.x_axis(xs)
    upper = _band(losses, chart.TOP, height / 2 - 26)
    lower = _band(norms, height / 2 + 6, height - chart.BOTTOM)
    drawn = "".join(
        (
            _plot(x, upper, losses, "", "loss"),
            _plot(x, lower, norms, "step", "norm of all gradients"),
            _kept_steps(report, x, height),
        )
    )
    about = "; ".join(_course(series) for series in (*losses, *norms))
    return Figure(
        "steps",
        "Loss and gradient norm over steps",
        Markup(chart.svg(drawn, visible(about, 600), height=height)),
        "Small marks at the bottom: steps whose whole graph was kept.",
        [
            (f"line{i % 4}", visible(s.name))
            for group in (losses, norms)
            for i, s in enumerate(group)
            if len(group) > 1
        ],
    )


def _band(group: Sequence[Series], top: float, bottom: float) -> chart.Axis:
    """An axis for one of several plots above each other."""
    values = [v for series in group for v in series.y]
    axis = chart.y_axis(values, log=chart.wants_log(values))
    return chart.Axis(axis.low, axis.high, bottom, top, axis.log)


def _plot(x: chart.Axis, y: chart.Axis, group: Sequence[Series], x_name: str, y_name: str) -> str:
    if not group:
        return ""
    axes = chart.frame(x, y, x_name, f"{y_name}, log" if y.log else y_name)
    return axes + "".join(_line(x, y, series, i) for i, series in enumerate(group))


def _line(x: chart.Axis, y: chart.Axis, series: Series, index: int) -> str:
    """A line with a gap where a value is not finite, and a mark in its place."""
    parts, run = [], []
    for at, value in zip(series.x, series.y, strict=True):
        if math.isfinite(value):
            run.append((x.place(at), y.place(value)))
            continue
        parts.append(chart.polyline(run, f"line line{index % 4}"))
        run = []
        parts.append(
            _odd_mark(
                x.place(at), y.end, f"{visible(series.name)}, step {at:g}: {format_number(value)}"
            )
        )
    parts.append(chart.polyline(run, f"line line{index % 4}"))
    dots = (
        chart.tag(
            "circle",
            cx=x.place(at),
            cy=y.place(value),
            r=1.5,
            class_="hit",
            data_t=f"{visible(series.name)}, step {at:g}: {format_number(value)}",
        )
        for at, value in zip(series.x, series.y, strict=True)
        if math.isfinite(value)
    )
    return "".join((*parts, *dots))


def _odd_mark(at: float, top: float, told: str) -> str:
    return chart.tag("path", d=f"M{at - 4:.1f},{top}l8,8m0,-8l-8,8", class_="odd", data_t=told)


def _kept_steps(report: Report, x: chart.Axis, height: float) -> str:
    marks = (
        f"M{x.place(step.index):.1f},{height - chart.BOTTOM}v-5" for step, _ in report.trace.graphs
    )
    return chart.tag("path", d="".join(marks), class_="kept")


def _course(series: Series) -> str:
    if not series.y:
        return series.name
    return f"{series.name} from {format_number(series.y[0])} to {format_number(series.y[-1])}"


def ratio_figure(rows: Sequence[Row], nodes: dict[int, int]) -> Figure | None:
    """RMS(change) / RMS(value) per update, a line for each parameter; None without updates.

    Args:
        rows: The parameters.
        nodes: Parameter index to its node in the graph that is shown.
    """
    found = [series for series in ratio_series(rows) if len(series.x) > 1]
    values = [v for series in found for v in series.y]
    if not any(v > 0 for v in values):
        return None
    x = chart.x_axis([v for series in found for v in series.x])
    y = chart.y_axis([*values, _USUAL_RATIO], log=True)
    usual = y.place(_USUAL_RATIO)
    lines = (
        chart.polyline(
            [(x.place(a), y.place(b)) for a, b in zip(series.x, series.y, strict=True)],
            "line thin",
            data_n=nodes.get(series.key) if series.key is not None else None,
            data_t=visible(series.name, LINE_LIMIT),
        )
        for series in found
    )
    drawn = "".join(
        (
            chart.frame(x, y, "update", "RMS(change) / RMS(value), log"),
            chart.tag("path", d=f"M{x.start},{usual:.1f}H{x.end}", class_="usual"),
            chart.label(x.end, usual - 5, "about usual: 0.001", anchor="end", kind="axis"),
            *lines,
        )
    )
    shown = format_integer(len(found))
    about = f"{shown} parameters, {format_number(min(values))} to {format_number(max(values))}"
    caption = f"One line per parameter ({shown} shown); the mouse names the one it is near."
    return Figure(
        "ratio", "How far updates move the weights", Markup(chart.svg(drawn, about)), caption
    )
