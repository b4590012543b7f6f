"""The gradient's size along depth, from the loss to the input, as a Vega-Lite specification."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import altair as alt

from gradscope.render.axes import x_axis, y_axis
from gradscope.render.plot import EDGE, INK, INNER, OUTLINE, Plot
from gradscope.render.plot_data import DepthPoint, DepthProfile
from gradscope.render.plot_style import Rows, data, finished, letters, named, point, value_y
from gradscope.render.safe import LINE_LIMIT, visible
from gradscope.render.units import format_integer, format_number

_HEIGHT = 172
_FEW_POINTS = 200
_TITLE = "The gradient on its way from the loss to the input"


def depth_plot(profile: DepthProfile, color: Callable[[float], str]) -> Plot:
    """RMS of the gradient at every op and parameter.

    Args:
        profile: At least one point.
        color: The graph's colour of a gradient.
    """
    across = x_axis([p.depth for p in profile.points])
    up = y_axis((p.rms for p in profile.points), log=True)
    way = [p for p in profile.path if math.isfinite(p.rms)] or list(profile.points)
    x = alt.X(
        "x:Q",
        title=None,
        scale=alt.Scale(domain=list(across.domain), nice=False),
        axis=alt.Axis(values=[], grid=False),
    )
    y = value_y(up, "RMS of the gradient")
    line = alt.Chart(data("way")).mark_line(color=EDGE, strokeWidth=2, aria=False).encode(x=x, y=y)
    last = _end(profile)
    drawn = alt.layer(
        named(line.encode(order=alt.Order("x:Q")), "way"),
        named(_dots().encode(x=x, y=y), "dots"),
        *_ends(way[0], last),
        width=INNER,
        height=_HEIGHT,
    )
    size = 36 if len(profile.points) <= _FEW_POINTS else 16
    points = [
        {**point(p.depth, up.on(p.rms), _label(p), p.node), **_look(p, color(p.rms), size)}
        for p in profile.points
    ]
    about = f"{_words(way[0])} at the loss, {_words(last)} at the input"
    rows: dict[str, Rows] = {
        "way": [{"x": p.depth, "y": up.on(p.rms)} for p in way],
        "dots": points,
    }
    return finished(("depth", _TITLE, about, " ".join(_caption(profile))), drawn, rows)


def _dots() -> alt.Chart:
    kinds, forms = ["op", "leaf"], ["circle", "square"]
    marks: alt.Chart = alt.Chart(data("dots")).mark_point(filled=True, opacity=1)
    return marks.encode(
        fill=alt.Fill("fill:N", scale=None),
        stroke=alt.Stroke("stroke:N", scale=None),
        strokeWidth=alt.StrokeWidth("outline:Q", scale=None),
        size=alt.Size("size:Q", scale=None),
        shape=alt.Shape("kind:N", scale=alt.Scale(domain=kinds, range=forms), legend=None),
        description=alt.Description("label:N"),
        href=alt.Href("node:N"),
    )


def _look(point: DepthPoint, fill: str, size: float) -> dict[str, object]:
    severity = point.severity
    return {
        "kind": "leaf" if point.leaf else "op",
        "fill": fill,
        "stroke": OUTLINE[severity] if severity else EDGE,
        "outline": 2 if severity else 0.6,
        "size": size * 2.25 if severity and not point.leaf else size,
    }


def _label(point: DepthPoint) -> str:
    return f"{visible(point.name, LINE_LIMIT)}: gradient {format_number(point.rms)}"


def _words(point: DepthPoint) -> str:
    return f"{visible(point.name)} {format_number(point.rms)}"


def _end(profile: DepthProfile) -> DepthPoint:
    """The end of the way, or what is not finite behind it."""
    end = (profile.path or profile.points)[-1]
    odd = (p for p in profile.points if p.depth > end.depth and not math.isfinite(p.rms))
    return next(odd, end)


def _ends(first: DepthPoint, last: DepthPoint) -> Iterator[alt.Chart]:
    """The two numbers that matter most, in large letters under both ends of the axis."""
    for text, x, align in (
        (f"loss {format_number(first.rms)}", 0, "left"),
        (f"{format_number(last.rms)} input", INNER, "right"),
    ):
        yield letters(text, x, _HEIGHT + 16, align=align, fontSize=15, fontWeight="bold", color=INK)


def _caption(profile: DepthProfile) -> Iterator[str]:
    yield "Every dot is an op, every square a parameter; the line is the way most of it takes."
    if any(p.severity for p in profile.points):
        yield "A thick outline marks a finding."
    if not all(math.isfinite(p.rms) for p in profile.points):
        yield "Red, at the top: NaN or Inf."
    if profile.left_out:
        yield f"{format_integer(profile.left_out)} ops are left out."
