"""Every parameter's gradient over steps, as a Vega-Lite specification.

NOTE [Pixels and rows] A mark for each cell would be 29,600 marks for 148 parameters × 200 steps:
8 MB of SVG, whose cells show seams between them at most sizes. So the cells are one picture with
a pixel each, and over it lies an invisible mark per row, which says that row's numbers and leads to
that parameter's node.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping

import altair as alt

from gradscope.render.axes import x_axis
from gradscope.render.colors import NONFINITE, ZERO, Scale, scale_for
from gradscope.render.plot import RIGHT, SOFT, WIDTH, Plot
from gradscope.render.plot_data import HeatMap
from gradscope.render.plot_style import data, finished, history, letters, named, quoted, spelled
from gradscope.render.png import png_data_uri
from gradscope.render.safe import LINE_LIMIT, visible
from gradscope.render.strip import evenly
from gradscope.render.units import format_integer, power

_SHADES = 200
_LEFT, _TOP, _BELOW = 150, 8, 58
_WIDTH = WIDTH - _LEFT - RIGHT
_TALLEST, _ROW = 420, 14
_LOWEST, _KEY = 40, 30
_NAMES, _NAME_LENGTH = 12, 22
_TICKS = 8


def heat_plot(heat: HeatMap, nodes: Mapping[int, int]) -> Plot:
    """RMS of every parameter's gradient in every step.

    Args:
        heat: At least one row and two columns.
        nodes: Parameter index to its node in the graph that is shown.
    """
    scale = scale_for(cell for row in heat.cells for cell in row)
    height = min(_TALLEST, max(_LOWEST, _ROW * len(heat.parameters)))
    # The name of the legend stands as the names of rows do.
    looks = {"align": "right", "baseline": "middle", "fontSize": 11, "color": SOFT}
    key = letters("RMS of the gradient", -6, height + _KEY + 5, **looks)
    layers = (_cells(heat, height), _rows(heat, scale, height), key)
    drawn = alt.layer(*layers, width=_WIDTH, height=height)
    words = ("heat", "Gradient of every parameter over steps", _about(heat), _caption(heat))
    rows = {"picture": [_picture(heat, scale)], "rows": _row_data(heat, scale, nodes)}
    return finished(words, drawn, rows, left=_LEFT, top=_TOP, bottom=_BELOW)


def _about(heat: HeatMap) -> str:
    rows, columns = (format_integer(len(found)) for found in (heat.parameters, heat.steps))
    return f"Gradients of {rows} parameters over {columns} steps"


def _caption(heat: HeatMap) -> str:
    cells = {cell for row in heat.cells for cell in row}
    finite = {cell for cell in cells if cell is not None and abs(cell) < float("inf")}
    told = ["A row per parameter from the loss down to the input, a column per step."]
    told += ["Black: exactly 0."] if 0.0 in cells else []
    told += ["Red: NaN or Inf."] if cells - finite - {None} else []
    told += ["Empty: none arrived."] if None in cells else []
    told += [f"{heat.left_out}."] if heat.left_out else []
    return " ".join(told)


def _cells(heat: HeatMap, height: int) -> alt.Chart:
    round_steps = x_axis(heat.steps).ticks()
    places = sorted({bisect_left(heat.steps, step) for step, _ in round_steps})
    x = alt.X(
        "x:Q",
        title="step",
        scale=alt.Scale(domain=[0, len(heat.steps)], nice=False),
        axis=alt.Axis(
            values=[place + 0.5 for place in places],
            labelExpr=f"{quoted(map(str, heat.steps))}[floor(datum.value)]",
            grid=False,
            domain=False,
            titleAnchor="start",
            titleAlign="right",
            titleX=-10,
            titleY=7,
            titleBaseline="top",
        ),
    )
    mark = alt.Chart(data("picture")).mark_image(
        aspect=False,
        smooth=False,
        align="left",
        baseline="top",
        width=_WIDTH,
        height=height,
        aria=False,
    )
    return named(mark.encode(x=x, y=alt.YValue(0), url=alt.Url("url:N")), "cells")


def _rows(heat: HeatMap, scale: Scale, height: int) -> alt.Chart:
    names = [_tail(parameter.name) for parameter in heat.parameters]
    rows = range(len(names))
    most = max(_NAMES, height // _ROW)
    y = alt.Y(
        "row:O",
        title=None,
        scale=alt.Scale(domain=list(rows)),
        axis=alt.Axis(
            values=evenly(len(names), min(len(names), most)),
            labelExpr=f"{quoted(names)}[datum.value]",
            labelLimit=0,
            domain=False,
        ),
    )
    mark = alt.Chart(data("rows")).mark_rect(opacity=0)
    places = {"x": alt.XValue(0), "x2": alt.X2Value(_WIDTH), "y": y}
    told = {"description": alt.Description("label:N"), "href": alt.Href("node:N")}
    drawn = mark.encode(**places, **told, color=_shade(scale, height))
    return named(drawn, "rows")


def _shade(scale: Scale, height: int) -> alt.Color:
    """The legend; powers of ten are told as such, which a double could not hold."""
    powers, shown = list(range(scale.low, scale.high + 1)), scale.ticks(_TICKS)
    return alt.Color(
        "power:Q",
        scale=alt.Scale(
            type="linear",
            interpolate="rgb",
            domain=powers,
            range=[scale.tick_color(p) for p in powers],
        ),
        legend=alt.Legend(
            title=None,
            direction="horizontal",
            values=shown[::-1],
            labelExpr=spelled([(p, power(p)) for p in shown]),
            labelColor=SOFT,
            gradientOpacity=1,
            gradientLength=_WIDTH,
            gradientThickness=10,
            legendX=0,
            legendY=height + _KEY,
        ),
    )


def _row_data(heat: HeatMap, scale: Scale, nodes: Mapping[int, int]) -> list[dict[str, object]]:
    rows = []
    for i, (parameter, cells) in enumerate(zip(heat.parameters, heat.cells, strict=True)):
        head = f"{visible(parameter.name, LINE_LIMIT)}, gradient at step"
        row = {"row": i, "power": scale.low, "label": history(head, heat.steps, cells)}
        if parameter.index in nodes:
            row["node"] = f"#n{nodes[parameter.index]}"
        rows.append(row)
    return rows


def _picture(heat: HeatMap, scale: Scale) -> dict[str, object]:
    shades = [scale.shade(i / (_SHADES - 1)) for i in range(_SHADES)]
    pixels = [[_pixel(scale, cell) for cell in row] for row in heat.cells]
    return {"x": 0, "url": png_data_uri(pixels, [*shades, ZERO, NONFINITE, None])}


def _pixel(scale: Scale, cell: float | None) -> int:
    if cell is None:
        return _SHADES + 2
    if cell == 0:
        return _SHADES
    if not abs(cell) < float("inf"):
        return _SHADES + 1
    return round(scale.position(cell) * (_SHADES - 1))


def _tail(name: str) -> str:
    """The end of a name says more than its beginning."""
    name = visible(name)
    return name if len(name) <= _NAME_LENGTH else f"…{name[-_NAME_LENGTH + 1 :]}"
