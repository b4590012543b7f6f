"""A plot as a specification: its sizes, its colours, and the heading it has as a picture."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field, replace
from typing import Any

WIDTH = 480
LEFT, RIGHT, TOP, BOTTOM = 60, 14, 22, 36
INNER = WIDTH - LEFT - RIGHT
INK, SOFT, GRID, EDGE = "#16202a", "#53636f", "#d6dde1", "#5d6f7a"
LINES = ("#14697a", "#b34700", "#6a3d9a", "#53636f")
USUAL = "#1b6e35"
ODD = "#b71c1c"
OUTLINE = {"error": ODD, "warning": "#b34700", "info": "#1259a8"}
"""Colours of findings, as the page's style has them on light paper."""

THEME = {
    INK: "ink",
    SOFT: "soft",
    GRID: "line",
    EDGE: "edge",
    LINES[0]: "line0",
    LINES[2]: "line2",
    USUAL: "clean",
    OUTLINE["error"]: "error",
    OUTLINE["warning"]: "warning",
    OUTLINE["info"]: "info",
}
"""Colours that follow the page's light or dark style, and their names there."""

_TITLE, _SUBTITLE, _GAP = 19, 13, 6  # heights of lines, and what is below them
_MARGIN = 10
_WRAP = 88
_MOST_LINES = 6


@dataclass(frozen=True)
class Plot:
    """One plot.

    Attributes:
        key: Its name as a file: ``depth``, ``heat``, ``steps`` or ``ratio``.
        title: Its heading.
        about: What it shows in words, with the numbers at its ends.
        caption: How to read it.
        spec: The Vega-Lite specification. The ``description`` of a mark is what it says under
            the mouse, its ``href`` the node of the graph it belongs to, as ``#n12``.
    """

    key: str
    title: str
    about: str
    caption: str
    spec: dict[str, Any] = field(repr=False)

    @property
    def wide(self) -> bool:
        """Whether it is as wide as two."""
        return bool(self.spec.get("width", 0) > INNER)


def widened(plot: Plot) -> Plot:
    """The plot as wide as two; as it is where its parts have widths of their own."""
    if "width" not in plot.spec:
        return plot
    return replace(plot, spec={**plot.spec, "width": plot.spec["width"] + WIDTH})


def with_heading(plot: Plot) -> dict[str, Any]:
    """The specification of a picture that stands alone: on white, with its words above it.

    It leads to no page, and says nothing under the mouse.
    """
    words = [*textwrap.wrap(plot.about, _WRAP), *textwrap.wrap(plot.caption, _WRAP)][:_MOST_LINES]
    padding: dict[str, float] = plot.spec["padding"]
    top = padding["top"] + _TITLE + _SUBTITLE * len(words) + _GAP
    return {
        **_silent(plot.spec),
        "background": "white",
        "padding": {
            "left": padding["left"] + _MARGIN,
            "right": padding["right"] + _MARGIN,
            "top": top + _MARGIN,
            "bottom": padding["bottom"] + _MARGIN,
        },
        "title": {
            "text": plot.title,
            "subtitle": words,
            "anchor": "start",
            "frame": "group",
            "dx": -padding["left"],
            "offset": _GAP,
            "fontSize": 14,
            "color": INK,
            "subtitleFontSize": 11,
            "subtitleColor": SOFT,
            "subtitlePadding": 5,
        },
        "config": {**plot.spec["config"], "aria": False},
    }


def _silent(spec: dict[str, Any]) -> dict[str, Any]:
    """The specification without what only a page shows of a mark."""
    told = dict(spec)
    for parts in ("layer", "vconcat"):
        if parts in spec:
            told[parts] = [_silent(part) for part in spec[parts]]
    if "encoding" in spec:
        encoding = spec["encoding"].items()
        told["encoding"] = {k: v for k, v in encoding if k not in ("description", "href")}
    return told
