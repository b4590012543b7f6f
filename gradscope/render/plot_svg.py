"""Plots drawn: as parts of the page, and as pictures that stand alone.

NOTE [One drawing] The page shows the SVG that vl-convert draws of a specification, and files show
the same specification with its heading; alone in its row, a plot is as wide as two on the page.
Vega itself is not in the page: vega, vega-lite and vega-embed as vl-convert bundles them are 0.9 MB
of script that needs ``eval``, which the page's policy forbids, cannot follow its light or dark
style without drawing again, and show nothing without script. Drawn beforehand, four plots of 120
steps are 34 kB. What a mark says comes from the ``description`` in the specification, which Vega
writes as ``aria-label``, and where it leads from its ``href``; ``assets/plots.js`` does the rest.
Measured on two cores: 0.2 s to import altair, 0.15 s to build four specifications, 0.5 s until
vl-convert can draw (beside the others), then 0.03 s a plot; the page of a small run takes 1.1 s,
of GPT-2 with 200 steps 1.9 s (1.4 MB).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from gradscope.errors import ImageError
from gradscope.render.inline_plot import inline_plot
from gradscope.render.plot import Plot, with_heading
from gradscope.render.vega import Drawer, draw_svg

_SIZE = re.compile(r'\b(width|height)="([\d.]+)"')  # the first two are those of the whole
_SCALE = 1.25


@dataclass(frozen=True)
class Figure:
    """One plot on the page.

    Attributes:
        key: Begins its ids.
        title: Its heading.
        svg: The drawing.
        caption: How to read it.
        wide: Whether it is as wide as two.
    """

    key: str
    title: str
    svg: Markup
    caption: str
    wide: bool = False


def figures(plots: Sequence[Plot], drawer: Drawer) -> tuple[list[Figure], list[str]]:
    """The plots for the page, and why any is missing."""
    found, problems = [], []
    for plot, drawn in zip(plots, drawer.draw([plot.spec for plot in plots]), strict=True):
        try:
            found.append(_figure(plot, drawn))
        except (ImageError, ValueError) as error:
            problems.append(f"The plot “{plot.title}” is missing: {error}")
    return found, problems


def _figure(plot: Plot, drawn: str | ImageError) -> Figure:
    if isinstance(drawn, ImageError):
        raise drawn
    svg = Markup(inline_plot(drawn, plot.key, plot.about))
    return Figure(plot.key, plot.title, svg, plot.caption, plot.wide)


def pictures(plots: Sequence[Plot]) -> list[bytes | ImageError]:
    """Each plot as an SVG file, or why there is none; with its words."""
    return [
        _named(plot, drawn) if isinstance(drawn, ImageError) else _enlarged(drawn).encode()
        for plot, drawn in zip(plots, draw_svg(list(map(with_heading, plots))), strict=True)
    ]


def _enlarged(svg: str) -> str:
    """The picture about as large as on the page, where it fills its frame."""
    return _SIZE.sub(lambda found: f'{found[1]}="{float(found[2]) * _SCALE:g}"', svg, count=2)


def _named(plot: Plot, error: ImageError) -> ImageError:
    return ImageError(f"the plot {plot.key} could not be drawn: {error}")
