"""How far each update moves each parameter, as a Vega-Lite specification."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import altair as alt

from gradscope.render.axes import Axis, x_axis, y_axis
from gradscope.render.plot import INK, INNER, LINES, SOFT, USUAL, Plot
from gradscope.render.plot_data import Series
from gradscope.render.plot_style import data, finished, history, named, steps_x, value_y
from gradscope.render.safe import LINE_LIMIT, visible
from gradscope.render.units import format_integer, format_number

_HEIGHT = 172
_NAME = 40
_LINE, _ABOVE, _BELOW = 14, -7, 13  # of text: its height, and places beside a line
_USUAL_RATIO = 1e-3
"""Updates of about a thousandth of the value are usual (Karpathy, "A Recipe for Training Neural
Networks", 2019)."""


def ratio_plot(lines: Sequence[Series], nodes: Mapping[int, int]) -> Plot:
    """RMS(change) / RMS(value) per update, a line for each parameter.

    Args:
        lines: The ratios; positive somewhere.
        nodes: Parameter index to its node in the graph that is shown.
    """
    values = [v for series in lines for v in series.y]
    across = x_axis([v for series in lines for v in series.x])
    up = y_axis([*values, _USUAL_RATIO], log=True)
    x, y = steps_x(across, "update"), value_y(up, "RMS(change) / RMS(value)")
    shown = alt.Chart(data("lines")).mark_line(strokeWidth=1, opacity=0.5, color=LINES[0])
    told = {"description": alt.Description("label:N"), "href": alt.Href("node:N")}
    shown = shown.encode(x=x, y=y, detail=alt.Detail("line:N"), **told)
    layers = [*_usual(up, y), named(shown, "lines"), *_extremes(lines, up, x, y)]
    drawn = alt.layer(*layers, width=INNER, height=_HEIGHT)
    rows = [row for i, series in enumerate(lines) for row in _rows(series, i, up, nodes)]
    count = format_integer(len(lines))
    about = f"{count} parameters, {format_number(min(values))} to {format_number(max(values))}"
    caption = f"One line per parameter ({count} shown), the highest and the lowest by name."
    words = ("ratio", "How far updates move the weights", about, caption)
    return finished(words, drawn, {"lines": rows})


def _rows(
    series: Series, index: int, up: Axis, nodes: Mapping[int, int]
) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = [
        {"x": x, "y": up.on(y), "line": index} for x, y in zip(series.x, series.y, strict=True)
    ]
    # A line says what its first row says.
    rows[0]["label"] = history(
        f"{visible(series.name, LINE_LIMIT)}, ratio at update", series.x, series.y
    )
    node = nodes.get(series.key) if series.key is not None else None
    if node is not None:
        rows[0]["node"] = f"#n{node}"
    return rows


def _usual(up: Axis, y: alt.Y) -> list[alt.Chart]:
    at = alt.Chart(alt.InlineData(values=[{"y": _USUAL_RATIO}])).encode(y=y)
    # Not into the axis' name above the plot.
    low = math.log10(_USUAL_RATIO) < (up.low + up.high) / 2
    words = at.mark_text(
        text="about usual: 0.001",
        align="left",
        dx=4,
        dy=-7 if low else 9,
        fontSize=10.5,
        color=SOFT,
    )
    return [
        at.mark_rule(color=USUAL, strokeDash=[4, 4], aria=False),
        words.encode(x=alt.XValue(0)),
    ]


def _extremes(lines: Sequence[Series], up: Axis, x: alt.X, y: alt.Y) -> list[alt.Chart]:
    """Names at the ends of the highest and the lowest line, for those without a mouse."""
    ranked = sorted(lines, key=lambda series: series.y[-1])
    lowest, highest = (_height(up, series.y[-1]) for series in (ranked[0], ranked[-1]))
    if len(ranked) == 1:
        return [_name(ranked[0], _ABOVE, up, x, y)]
    # Below the axis stand its numbers.
    dy = _BELOW if lowest > _LINE else _ABOVE
    crowded = dy == _ABOVE and highest - lowest < _LINE
    return [
        _name(ranked[-1], _ABOVE - _LINE if crowded else _ABOVE, up, x, y),
        _name(ranked[0], dy, up, x, y),
    ]


def _height(up: Axis, value: float) -> float:
    """Of a value above the axis below it."""
    return (math.log10(up.on(value)) - up.low) / (up.high - up.low) * _HEIGHT


def _name(series: Series, dy: int, up: Axis, x: alt.X, y: alt.Y) -> alt.Chart:
    end = {"x": series.x[-1], "y": up.on(series.y[-1]), "name": visible(series.name, _NAME)}
    chart = alt.Chart(alt.InlineData(values=[end]))
    mark: alt.Chart = chart.mark_text(align="right", dy=dy, fontSize=10.5, color=INK)
    return mark.encode(x=x, y=y, text=alt.Text("name:N"))
