"""The plots as Vega-Lite specifications, and as static pictures for Markdown and folders.

The HTML page draws the same numbers itself: NOTE [No Vega in the page] in ``charts``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

from gradscope.analysis.fold import fold
from gradscope.errors import ImageError
from gradscope.model.finding import Report
from gradscope.render.colors import Scale, scale_for
from gradscope.render.html_graph import level_canvas
from gradscope.render.plot_data import (
    Series,
    depth_profile,
    heat_map,
    loss_series,
    norm_series,
    ratio_series,
)
from gradscope.render.rows import parameter_rows
from gradscope.render.safe import visible
from gradscope.render.summary import chosen_graph

Spec = dict[str, Any]
Row = dict[str, str | float | int | None]

_WIDTH, _HEIGHT = 620, 240
_SHADES = 10
_MOST_CELLS = 6_000


def plot_specs(report: Report, step: int | None = None) -> dict[str, Spec]:
    """Every plot that the report has numbers for, by name.

    ``depth``, ``steps``, ``heat`` and ``ratio``; each is a Vega-Lite specification with its
    numbers inside.
    """
    makers: dict[str, Callable[[], Spec | None]] = {
        "depth": lambda: _depth(report, step),
        "steps": lambda: _steps(report),
        "heat": lambda: _heat(report),
        "ratio": lambda: _ratio(report),
    }
    specs = {name: make() for name, make in makers.items()}
    return {name: spec for name, spec in specs.items() if spec is not None}


def draw_plot(spec: Spec, form: Literal["svg", "png"] = "svg") -> bytes:
    """A specification as a picture; needs no browser and no network.

    Raises:
        ImageError: vl-convert is missing, or could not draw it.
    """
    try:
        import vl_convert
    except ImportError as error:
        raise ImageError(
            "plots are drawn by vl-convert; run `pip install vl-convert-python`."
        ) from error
    try:
        if form == "png":
            return bytes(vl_convert.vegalite_to_png(spec, scale=2))
        return str(vl_convert.vegalite_to_svg(spec)).encode()
    except ValueError as error:
        raise ImageError(f"vl-convert could not draw the plot: {error}") from error


def _depth(report: Report, step: int | None) -> Spec | None:
    import altair as alt

    chosen = chosen_graph(report, step)
    if chosen is None or not chosen.graph.backward_ran:
        return None
    canvas = level_canvas(report, chosen, fold(chosen.graph))
    profile = depth_profile(canvas)
    path = {point.node for point in profile.path}
    rows: list[Row] = [
        {
            "depth": point.depth,
            "rms": point.rms,
            "name": visible(point.name),
            "kind": "parameter" if point.leaf else "op",
            "way": int(point.node in path),
        }
        for point in profile.points
        if math.isfinite(point.rms) and point.rms > 0
    ]
    if len(rows) < 2:
        return None
    x = alt.X("depth:Q", title="ops from the loss → input")
    base = alt.Chart(_values(rows), title="Gradient from the loss to the input").encode(
        x=x, y=alt.Y("rms:Q", title="RMS of the gradient", scale=alt.Scale(type="log"))
    )
    line = base.transform_filter("datum.way == 1").mark_line(color="#5d6f7a")
    points = base.mark_point(filled=True, opacity=1).encode(
        color=_color("rms:Q", canvas.scale), shape=alt.Shape("kind:N", title=None), tooltip="name:N"
    )
    return _finished(alt.layer(line, points))


def _steps(report: Report) -> Spec | None:
    import altair as alt

    charts = []
    for title, series in (
        ("loss", loss_series(report.trace)),
        ("norm of all gradients", norm_series(report.trace)),
    ):
        rows = _long(series)
        if len({row["x"] for row in rows}) > 1:
            chart = alt.Chart(_values(rows), title=title).mark_line()
            charts.append(
                chart.encode(
                    x=alt.X("x:Q", title="step"),
                    y=alt.Y("y:Q", title=None, scale=_y_scale(rows)),
                    color=alt.Color("name:N", title=None),
                    strokeDash=alt.StrokeDash("name:N", title=None),
                ).properties(width=_WIDTH, height=_HEIGHT // 2)
            )
    return _finished(alt.vconcat(*charts), sized=False) if charts else None


def _heat(report: Report) -> Spec | None:
    import altair as alt

    heat = heat_map(parameter_rows(report))
    every = max(1, math.ceil(len(heat.parameters) * len(heat.steps) / _MOST_CELLS))
    rows: list[Row] = [
        {"name": visible(parameter.name), "step": step, "rms": cell}
        for parameter, cells in zip(heat.parameters, heat.cells, strict=True)
        for step, cell in list(zip(heat.steps, cells, strict=True))[::every]
        if cell is not None and math.isfinite(cell) and cell > 0
    ]
    if not rows:
        return None
    scale = scale_for(cell for cells in heat.cells for cell in cells)
    title = "Gradient of every parameter over steps"
    title += f" (one in {every} shown)" if every > 1 else ""
    chart = alt.Chart(_values(rows), title=title).mark_rect()
    return _finished(
        chart.encode(
            x=alt.X("step:O", title="step", axis=alt.Axis(labelOverlap=True)),
            y=alt.Y("name:N", title=None, sort=None, axis=alt.Axis(labelOverlap=True)),
            color=_color("rms:Q", scale),
        )
    )


def _ratio(report: Report) -> Spec | None:
    import altair as alt

    rows = [row for row in _long(ratio_series(parameter_rows(report))) if float(row["y"] or 0) > 0]
    if len({row["x"] for row in rows}) < 2:
        return None
    chart = alt.Chart(_values(rows), title="How far updates move the weights")
    return _finished(
        chart.mark_line(opacity=0.5, color="#14697a").encode(
            x=alt.X("x:Q", title="update"),
            y=alt.Y("y:Q", title="RMS(change) / RMS(value)", scale=alt.Scale(type="log")),
            detail="name:N",
        )
    )


def _values(rows: Iterable[Row]) -> Any:
    import altair as alt

    return alt.InlineData(values=list(rows))


def _long(series: Sequence[Series]) -> list[Row]:
    return [
        {"name": visible(each.name), "x": x, "y": y}
        for each in series
        for x, y in zip(each.x, each.y, strict=True)
        if math.isfinite(y)
    ]


def _y_scale(rows: Sequence[Row]) -> Any:
    """Logarithmic where values are positive and far apart."""
    import altair as alt

    from gradscope.render.chart import wants_log

    log = wants_log(float(row["y"] or 0) for row in rows)
    return alt.Scale(type="log") if log else alt.Scale(zero=False)


def _color(field: str, scale: Scale) -> Any:
    """The graph's colours."""
    import altair as alt

    powers = [scale.low + (scale.high - scale.low) * i / (_SHADES - 1) for i in range(_SHADES)]
    stops = alt.Scale(
        type="log",
        domain=[10.0**power for power in powers],
        range=[scale.color(10.0**power) for power in powers],
    )
    return alt.Color(field, title="gradient RMS", scale=stops)


def _finished(chart: Any, *, sized: bool = True) -> Spec:
    if sized:
        chart = chart.properties(width=_WIDTH, height=_HEIGHT)
    spec: Spec = chart.to_dict()
    return spec
