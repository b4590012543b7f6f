"""Loss and total gradient norm over steps, before and after clipping, as a specification."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import altair as alt

from gradscope.render.axes import Axis, wants_log, x_axis, y_axis
from gradscope.render.plot import BOTTOM, INNER, LINES, ODD, SOFT, Plot
from gradscope.render.plot_data import Series
from gradscope.render.plot_style import (
    Rows,
    data,
    finished,
    history,
    named,
    point,
    quoted,
    steps_x,
    value_y,
)
from gradscope.render.safe import visible
from gradscope.render.units import format_number

_HEIGHT, _BETWEEN = 150, 30
_KEY = 18  # height of a line of the legend
_DASHES = [[1, 0], [5, 3], [2, 2], [8, 3, 2, 3]]
_CROSS = "M-1,-1L1,1M1,-1L-1,1"


def steps_plot(losses: Sequence[Series], norms: Sequence[Series], kept: Sequence[int]) -> Plot:
    """The loss above, the norms below it.

    Args:
        losses: A line for each thing that backward was called on.
        norms: The norm in backward and at the update.
        kept: Steps whose whole graph was kept.
    """
    x = x_axis([at for series in (*losses, *norms) for at in series.x])
    groups = [(g, title) for g, title in ((losses, "loss"), (norms, "norm of all gradients")) if g]
    panels, rows, height = [], dict[str, Rows](), 0.0
    for index, (group, title) in enumerate(groups):
        last = index == len(groups) - 1
        name = ("loss", "norm")[group is norms]
        panels.append(_panel(group, name, x, title, kept=last))
        rows |= _rows(group, name)
        height += _HEIGHT + _keys_height(group) + (0 if last else _BETWEEN)
    rows["kept"] = [{"x": step, "label": f"step {step}: its graph was kept"} for step in kept]
    drawn = alt.vconcat(
        *panels,
        spacing=_BETWEEN + _keys_height(groups[0][0]),
        bounds="flush",
        resolve=alt.Resolve(
            scale=alt.ScaleResolveMap(color="independent", strokeDash="independent")
        ),
    )
    about = "; ".join(map(_course, (*losses, *norms)))
    words = ("steps", "Loss and gradient norm over steps", visible(about, 600), _caption(kept))
    # Nothing is measured, so the height that panels share is told as room below them.
    return finished(words, drawn, rows, bottom=height + BOTTOM)


def _caption(kept: Sequence[int]) -> str:
    return "Small marks at the bottom: steps whose whole graph was kept." if kept else ""


def _course(series: Series) -> str:
    if not series.y:
        return series.name
    return f"{series.name} from {format_number(series.y[0])} to {format_number(series.y[-1])}"


def _panel(
    group: Sequence[Series], name: str, across: Axis, title: str, *, kept: bool
) -> alt.LayerChart:
    values = [v for series in group for v in series.y]
    up = y_axis(values, log=wants_log(values))
    x = steps_x(across, "step", labels=kept)
    y = value_y(up, title)
    names = [str(i) for i in range(len(group))]
    legend = _legend(group, kept) if len(group) > 1 else None
    color = alt.Color("line:N", scale=alt.Scale(domain=names, range=list(LINES)), legend=legend)
    dash = alt.StrokeDash(
        "line:N", scale=alt.Scale(domain=names, range=_DASHES), legend=legend, title=None
    )
    lines = alt.Chart(data(name)).mark_line(strokeWidth=1.6).encode(x=x, y=y)
    lines = lines.encode(color=color, strokeDash=dash, description=alt.Description("label:N"))
    layers = [named(lines, name), _crosses(f"odd_{name}", x), *([_ticks(x)] if kept else [])]
    return cast("alt.LayerChart", alt.layer(*layers, width=INNER, height=_HEIGHT))


def _crosses(name: str, x: alt.X) -> alt.Chart:
    marks = alt.Chart(data(name)).mark_point(
        shape=_CROSS, color=ODD, strokeWidth=2.4, size=64, opacity=1
    )
    return named(marks.encode(x=x, y=alt.YValue(4), description=alt.Description("label:N")), name)


def _ticks(x: alt.X) -> alt.Chart:
    marks = alt.Chart(data("kept")).mark_rule(color=SOFT)
    ends = {"y": alt.YValue(_HEIGHT), "y2": alt.Y2Value(_HEIGHT - 5)}
    return named(marks.encode(x=x, **ends, description=alt.Description("label:N")), "kept")


def _legend(group: Sequence[Series], last: bool) -> alt.Legend:
    texts = [visible(series.name) for series in group]
    return alt.Legend(
        title=None,
        labelExpr=f"{quoted(texts)}[toNumber(datum.value)]",
        legendX=0,
        legendY=_HEIGHT + (BOTTOM - 2 if last else 4),
        columns=1,
        symbolSize=324,
        rowPadding=1,
    )


def _keys_height(group: Sequence[Series]) -> float:
    """Room for the legend of a panel."""
    return _KEY * len(group) if len(group) > 1 else 0.0


def _rows(group: Sequence[Series], name: str) -> dict[str, Rows]:
    """The lines, broken where a value is not finite, and marks in its place."""
    lines: list[dict[str, object]] = []
    odd = []
    for index, series in enumerate(group):
        head = f"{visible(series.name)} at step"
        points = list(zip(series.x, series.y, strict=True))
        finite = [(x, y) for x, y in points if math.isfinite(y)]
        rows: list[dict[str, object]] = [
            {"x": x, "y": y if math.isfinite(y) else None, "line": str(index)} for x, y in points
        ]
        # A line says what its first row says.
        if finite:
            rows[0]["label"] = history(head, [x for x, _ in finite], [y for _, y in finite])
        lines += rows
        odd += [point(x, 0, history(head, [x], [y])) for x, y in points if not math.isfinite(y)]
    return {name: lines, f"odd_{name}": odd}
