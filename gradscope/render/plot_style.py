"""What the static plots share: size, colours, fonts, and how one becomes a picture."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import altair as alt
import vl_convert

from gradscope.errors import ImageError
from gradscope.render.chart import power

WIDTH, HEIGHT = 560, 240
LINES = ["#14697a", "#b34700", "#6a3d9a", "#53636f"]
INK, SOFT, GRID = "#16202a", "#53636f", "#d6dde1"
_FONT = "Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif"
_WRAP = 92


@dataclass(frozen=True)
class Plot:
    """One plot.

    Attributes:
        key: Its name as a file: ``depth``, ``heat``, ``steps`` or ``ratio``.
        title: Its heading.
        about: What it shows in words, with the numbers at its ends.
        spec: The Vega-Lite specification.
    """

    key: str
    title: str
    about: str
    spec: dict[str, Any] = field(repr=False)


def finished(key: str, title: str, about: str, chart: alt.TopLevelMixin) -> Plot:
    """The chart with its heading, in the looks that all plots share."""
    styled = (
        chart.properties(
            title=alt.TitleParams(title, subtitle=_lines(about)), background="white", padding=10
        )
        .configure(font=_FONT, aria=False)
        .configure_view(stroke=None)
        .configure_title(
            anchor="start", fontSize=14, color=INK, subtitleFontSize=11, subtitleColor=SOFT
        )
        .configure_axis(
            labelColor=SOFT,
            titleColor=SOFT,
            titleFontWeight="normal",
            gridColor=GRID,
            domainColor=SOFT,
            tickColor=SOFT,
            labelOverlap=True,
        )
        .configure_legend(orient="top", labelColor=INK, labelLimit=400)
    )
    return Plot(key, title, about, styled.to_dict())


def spelled_powers(powers: Iterable[int]) -> str:
    """A Vega expression that spells powers of ten as the page does."""
    told = (f"round(log(datum.value) / LN10) == {p} ? '{power(p)}' : " for p in powers)
    return f"{''.join(told)}''"


def plot_svg(plot: Plot) -> bytes:
    """The plot as an SVG picture; needs neither a browser nor a network.

    Raises:
        ImageError: Vega could not draw it.
    """
    try:
        drawn: str = vl_convert.vegalite_to_svg(plot.spec, allowed_base_urls=[])
    except ValueError as error:
        reason = str(error).strip().splitlines()[0][:200]
        raise ImageError(f"the plot {plot.key} could not be drawn: {reason}") from error
    return drawn.encode()


def _lines(text: str) -> list[str]:
    """Parts between semicolons, in lines that fit above the plot."""
    lines: list[str] = []
    for part in text.split("; "):
        if lines and len(lines[-1]) + len(part) + 2 <= _WRAP:
            lines[-1] += f"; {part}"
        else:
            lines.append(part)
    return lines[:4]
