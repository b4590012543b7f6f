"""The heat map as a Vega-Lite specification: parameters from the loss to the input × steps."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import altair as alt

from gradscope.render.colors import NONFINITE, ZERO, Scale, scale_for
from gradscope.render.plot_data import HeatMap, heat_map
from gradscope.render.plot_style import WIDTH, Plot, finished, spelled_powers
from gradscope.render.rows import Row
from gradscope.render.safe import visible
from gradscope.render.units import format_integer

_ROWS, _COLUMNS = 48, 80
_ROW = 13
_SPECIAL = {"exactly 0": ZERO, "NaN or Inf": NONFINITE}
_TICKS = 8


def heat_plot(rows: Sequence[Row]) -> Plot | None:
    """RMS of every parameter's gradient in every step; None where there is no history."""
    heat = heat_map(rows, most_rows=_ROWS, most_columns=_COLUMNS)
    if not heat.cells:
        return None
    scale = scale_for(value for row in heat.cells for value in row)
    names = [f"{i}" for i in range(len(heat.parameters))]
    columns = [f"{step}" for step in heat.steps]
    x = alt.X("step:O", scale=_all(columns), title="step", axis=_step_axis(columns))
    y = alt.Y("row:O", scale=_all(names), title=None, axis=_name_axis(heat))
    cells = [cell for cell in _cells(heat) if "rms" in cell]
    odd = [cell for cell in _cells(heat) if "rms" not in cell]
    layers = [
        alt.Chart(alt.InlineData(values=found)).mark_rect(stroke=None).encode(x=x, y=y, color=color)
        for found, color in ((cells, _shade(scale)), (odd, _special(odd)))
        if found
    ]
    drawn = alt.layer(*layers).resolve_scale(color="independent")
    sized = drawn.properties(width=WIDTH - 110, height=max(40, _ROW * len(names)))
    return finished("heat", "Gradient of every parameter over steps", _about(heat), sized)


def _all(values: Sequence[str]) -> alt.Scale:
    """Every row and column in order, those without any gradient as well."""
    return alt.Scale(domain=list(values))


def _about(heat: HeatMap) -> str:
    rows, columns = (format_integer(len(found)) for found in (heat.parameters, heat.steps))
    left = f"; {heat.left_out}" if heat.left_out else ""
    return f"{rows} parameters from the loss down to the input, {columns} steps{left}"


def _cells(heat: HeatMap) -> Iterator[dict[str, str | float]]:
    for index, row in enumerate(heat.cells):
        for step, value in zip(heat.steps, row, strict=True):
            if value is None:
                continue
            place: dict[str, str | float] = {"row": f"{index}", "step": f"{step}"}
            if math.isfinite(value) and value > 0:
                yield {**place, "rms": value}
            else:
                yield {**place, "kind": "NaN or Inf" if value else "exactly 0"}


def _shade(scale: Scale) -> alt.Color:
    colors = [scale.tick_color(p) for p in range(scale.low, scale.high + 1)]
    domain = [10.0**p for p in range(scale.low, scale.high + 1)]
    shown = scale.ticks(_TICKS)[::-1]
    return alt.Color(
        "rms:Q",
        scale=alt.Scale(type="log", domain=domain, range=colors, clamp=True),
        legend=alt.Legend(
            title="RMS of the gradient",
            values=[10.0**p for p in shown],
            labelExpr=spelled_powers(shown),
            gradientLength=WIDTH - 220,
            titleAnchor="start",
        ),
    )


def _special(odd: Sequence[dict[str, str | float]]) -> alt.Color:
    kinds = sorted({str(cell["kind"]) for cell in odd})
    colors = [_SPECIAL[kind] for kind in kinds]
    return alt.Color("kind:N", scale=alt.Scale(domain=kinds, range=colors), title=None)


def _step_axis(columns: Sequence[str]) -> alt.Axis:
    shown = columns[:: max(1, math.ceil(len(columns) / _TICKS))]
    return alt.Axis(values=list(shown), labelAngle=0, ticks=False, domain=False)


def _name_axis(heat: HeatMap) -> alt.Axis:
    """Names by an expression over row numbers: two parameters may have the same name."""
    names = [visible(parameter.name, 28) for parameter in heat.parameters]
    quoted = ", ".join("'" + "".join(map(_escaped, name)) + "'" for name in names)
    return alt.Axis(
        labelExpr=f"[{quoted}][toNumber(datum.value)]",
        labelLimit=190,
        ticks=False,
        domain=False,
        labelOverlap=False,
    )


def _escaped(char: str) -> str:
    """A character inside a string of a Vega expression; nothing in a name can end it."""
    if (char.isalnum() and char.isascii()) or char in " ._-[],":
        return char
    return "".join(f"\\u{unit:04x}" for unit in _utf16(char))


def _utf16(char: str) -> Iterator[int]:
    data = char.encode("utf-16-be", "surrogatepass")
    return (int.from_bytes(data[i : i + 2]) for i in range(0, len(data), 2))
