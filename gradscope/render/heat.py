"""The heat map of the HTML report: a pixel per parameter and step, in the graph's colours."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from gradscope.render import chart
from gradscope.render.charts import Figure
from gradscope.render.colors import NONFINITE, ZERO, Scale, scale_for
from gradscope.render.plot_data import HeatMap, heat_map
from gradscope.render.png import png_data_uri
from gradscope.render.rows import Row
from gradscope.render.safe import visible
from gradscope.render.strip import evenly
from gradscope.render.units import format_number

_SHADES = 200
_NAMES = 12
_NAME_LENGTH = 22
_LEFT = 150
_TALLEST, _ROW = 420, 14


def heat_figure(rows: Sequence[Row]) -> tuple[Figure | None, dict[str, object]]:
    """The figure, and the numbers for the page's script; None where there is no history."""
    heat = heat_map(rows)
    if not heat.cells:
        return None, {}
    values = [cell for row in heat.cells for cell in row]
    scale = scale_for(values)
    height = float(min(_TALLEST, max(40, _ROW * len(heat.parameters))))
    drawn = _drawing(heat, scale, height)
    caption = (
        f"A row per parameter from the loss down to the input, a column per step. {_range(scale)}"
    )
    caption += " Black: exactly 0. Red: NaN or Inf. Empty: none arrived."
    if heat.left_out:
        caption += f" {heat.left_out}."
    figure = Figure("heat", "Gradient of every parameter over steps", drawn, caption)
    return figure, _numbers(heat, height)


def _range(scale: Scale) -> str:
    low, high = chart.power(scale.low), chart.power(scale.high)
    return f"Dark is {low}, bright is {high}."


def _drawing(heat: HeatMap, scale: Scale, height: float) -> Markup:
    palette = [*(scale.color(_shade(scale, i)) for i in range(_SHADES)), ZERO, NONFINITE, None]
    pixels = [[_pixel(scale, cell) for cell in row] for row in heat.cells]
    width = chart.WIDTH - _LEFT - chart.RIGHT
    image = chart.tag(
        "image",
        x=_LEFT,
        y=chart.TOP,
        width=width,
        height=height,
        preserveAspectRatio="none",
        href=png_data_uri(pixels, palette),
        class_="heat",
    )
    row_height = height / len(heat.parameters)
    names = "".join(
        chart.label(
            _LEFT - 6,
            chart.TOP + (i + 0.5) * row_height + 4,
            _tail(heat.parameters[i].name),
            anchor="end",
        )
        for i in evenly(len(heat.parameters), min(len(heat.parameters), _most_names(height)))
    )
    bottom = chart.TOP + height + 15
    ends = chart.label(_LEFT, bottom, f"step {heat.steps[0]}", anchor="start")
    ends += chart.label(_LEFT + width, bottom, str(heat.steps[-1]), anchor="end")
    about = f"Gradients of {len(heat.parameters)} parameters over {len(heat.steps)} steps"
    mark = chart.tag("rect", class_="cursor", width=0, height=0)
    return Markup(chart.svg(image + names + ends + mark, about, height=int(bottom + 8)))


def _most_names(height: float) -> int:
    return max(_NAMES, int(height / _ROW))


def _tail(name: str) -> str:
    """The end of a name says more than its beginning."""
    name = visible(name)
    return name if len(name) <= _NAME_LENGTH else f"…{name[-_NAME_LENGTH + 1 :]}"


def _shade(scale: Scale, index: int) -> float:
    return float(10.0 ** (scale.low + (scale.high - scale.low) * index / (_SHADES - 1)))


def _pixel(scale: Scale, cell: float | None) -> int:
    if cell is None:
        return _SHADES + 2
    if cell == 0:
        return _SHADES
    if not abs(cell) < float("inf"):
        return _SHADES + 1
    return round(scale.position(cell) * (_SHADES - 1))


def _numbers(heat: HeatMap, height: float) -> dict[str, object]:
    """What the script needs to name the cell under the mouse; numbers as the page spells them."""
    return {
        "x": _LEFT,
        "y": chart.TOP,
        "width": chart.WIDTH - _LEFT - chart.RIGHT,
        "height": height,
        "names": [visible(parameter.name, 160) for parameter in heat.parameters],
        "parameters": [parameter.index for parameter in heat.parameters],
        "steps": heat.steps,
        "cells": [" ".join(map(_cell, row)) for row in heat.cells],
    }


def _cell(cell: float | None) -> str:
    return "none" if cell is None else format_number(cell)
