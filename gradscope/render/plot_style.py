"""What the specifications of plots share: axes, legends, fonts, and where everything stands.

The places are fixed, not measured: the page's font is not the one that Vega measures with, and
plots below each other are to have their axes below each other.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import altair as alt

from gradscope.render.axes import Axis
from gradscope.render.plot import BOTTOM, GRID, INK, LEFT, RIGHT, SOFT, TOP, Plot
from gradscope.render.units import format_number

_FONT = "Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif"
_LABEL, _TITLE = 11, 10.5  # sizes

Rows = Sequence[Mapping[str, object]]


def finished(
    words: tuple[str, str, str, str],
    chart: alt.TopLevelMixin,
    data: Mapping[str, Rows],
    **padding: float,
) -> Plot:
    """The chart in the looks that all plots share.

    Args:
        words: Key, title, what it shows, how to read it.
        chart: The chart, of named data.
        data: The data by their names. They join the specification unchecked: to check every
            single row of a large plot would take longer than to draw it.
        **padding: Room for what stands beside the axes, where it is not the usual one.
    """
    with alt.theme.enable("none"):  # whatever theme the user's script has switched on
        spec = chart.to_dict()
    room = {"left": LEFT, "right": RIGHT, "top": TOP, "bottom": BOTTOM, **padding}
    looks = {
        "autosize": alt.AutoSizeParams(type="none").to_dict(),
        "padding": room,
        "config": _looks().to_dict(),
        "datasets": {**spec.get("datasets", {}), **data},
    }
    return Plot(*words, {**spec, **looks})


def _looks() -> alt.Config:
    return alt.Config(
        font=_FONT,
        background="transparent",
        view=alt.ViewConfig(stroke=None),
        text=alt.MarkConfig(aria=False),
        axis=alt.AxisConfig(
            labelColor=SOFT,
            labelFontSize=_LABEL,
            labelPadding=6,
            labelOverlap=False,
            labelFlush=False,
            titleColor=SOFT,
            titleFontSize=_TITLE,
            titleFontWeight="normal",
            gridColor=GRID,
            domainColor=SOFT,
            ticks=False,
        ),
        legend=alt.LegendConfig(
            orient="none",
            labelColor=INK,
            labelFontSize=_LABEL,
            labelLimit=0,
            titleColor=SOFT,
            titleFontSize=_LABEL,
            titleFontWeight="normal",
            titleLimit=0,
        ),
    )


def data(name: str) -> alt.NamedData:
    """Rows that ``finished`` is given under this name."""
    return alt.NamedData(name=name)


def named(chart: alt.Chart, name: str) -> alt.Chart:
    """The chart with a name, which its marks have as their class in the page."""
    return chart.properties(name=name)


def letters(text: str, x: float, y: float, **looks: Any) -> alt.Chart:
    """One text at a fixed place."""
    mark: alt.Chart = alt.Chart(alt.InlineData(values=[{}])).mark_text(text=text, **looks)
    return mark.encode(x=alt.XValue(x), y=alt.YValue(y))


def steps_x(axis: Axis, title: str, *, labels: bool = True) -> alt.X:
    """A horizontal axis of counts; ``labels`` tells whether numbers stand below it."""
    return alt.X(
        "x:Q",
        title=title if labels else None,
        scale=alt.Scale(domain=list(axis.domain), nice=False, zero=False),
        axis=alt.Axis(
            values=[value for value, _ in axis.ticks()],
            labelExpr=spelled(axis.ticks()),
            grid=False,
            labels=labels,
            titleAnchor="end",
            titleAlign="right",
            titleBaseline="alphabetic",
            titleY=BOTTOM - 5,
        ),
    )


def value_y(axis: Axis, title: str) -> alt.Y:
    """A vertical axis with its name above it."""
    return alt.Y(
        "y:Q",
        title=f"{title}, log" if axis.log else title,
        scale=alt.Scale(
            type="log" if axis.log else "linear", domain=list(axis.domain), nice=False, zero=False
        ),
        axis=alt.Axis(
            values=[value for value, _ in axis.ticks()],
            labelExpr=spelled(axis.ticks()),
            domain=False,
            titleAngle=0,
            titleAlign="left",
            titleAnchor="end",
            titleBaseline="alphabetic",
            titleX=0,
            titleY=-9,
        ),
    )


def spelled(ticks: Sequence[tuple[float, str]]) -> str:
    """A Vega expression that gives the numbers of an axis their spelling here."""
    values, texts = [value for value, _ in ticks], [text for _, text in ticks]
    return f"{json.dumps(texts)}[indexof({json.dumps(values)}, datum.value)]"


def quoted(texts: Iterable[str]) -> str:
    """A Vega expression that is a list of the texts; nothing in a text can end it."""
    return "[" + ", ".join(f"'{''.join(map(_escaped, text))}'" for text in texts) + "]"


def _escaped(char: str) -> str:
    if (char.isalnum() and char.isascii()) or char in " ._-[],":
        return char
    return "".join(f"\\u{unit:04x}" for unit in _utf16(char))


def _utf16(char: str) -> Iterator[int]:
    encoded = char.encode("utf-16-be", "surrogatepass")
    return (int.from_bytes(encoded[i : i + 2]) for i in range(0, len(encoded), 2))


def point(x: float, y: float, label: str, node: int | None = None) -> dict[str, Any]:
    """A row of data: where, what it says, and the node of the graph it leads to."""
    row: dict[str, Any] = {"x": x, "y": y, "label": label}
    return row if node is None else {**row, "node": f"#n{node}"}


def history(head: str, xs: Iterable[float], ys: Iterable[float | None]) -> str:
    """What a mark says that stands for many numbers: ``loss at step 0:2.3 1:2.1 2:none``.

    The page's script tells the pair under the mouse as ``loss at step 1: 2.1``. So ``head`` ends
    in a word, and whatever the name in it holds, the pairs are all that follows that word.
    """
    return " ".join([head, *(f"{x:g}:{_told(y)}" for x, y in zip(xs, ys, strict=True))])


def _told(value: float | None) -> str:
    return "none" if value is None else format_number(value)
