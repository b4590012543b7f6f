"""The HTML report with everything it needs: draws, reads the lines, then renders."""

from __future__ import annotations

from collections.abc import Callable

from gradscope.model.finding import Report
from gradscope.render.html import Extras, render_html
from gradscope.render.html_graph import draw_pictures
from gradscope.render.listing import blamed_sources, read_listings
from gradscope.render.options import RenderOptions
from gradscope.render.plot import Plot, widened
from gradscope.render.plot_svg import figures
from gradscope.render.plots import plots, plotted
from gradscope.render.vega import Drawer

_ALL = 4  # plots: depth, steps, heat, ratio
_SHORT = 110  # rows of a heat map that leave room for another plot beside the steps


def html_page(
    report: Report, options: RenderOptions, say: Callable[[str], None] = lambda _: None
) -> str:
    """The page; a graph or plot that could not be drawn is missing, and the page says why.

    Args:
        report: The report.
        options: How to draw it.
        say: Called with a few words on what is being laid out.
    """
    numbers = plotted(report, options.step)
    with Drawer() as drawer:
        if numbers:
            drawer.start()
        pictures, problems = draw_pictures(report, options.step, say=say)
        say("the plots")
        shown, missing = figures(_spread(report, plots(numbers)), drawer)
    listings = read_listings(blamed_sources(report))
    return render_html(report, options, pictures, Extras(listings, [*problems, *missing], shown))


def _spread(report: Report, found: list[Plot]) -> list[Plot]:
    """The last of four as wide as two, where it would leave a gap.

    One stands beside the findings, two by two below the graph the others: of three, a short second
    and the last go beside a tall first. Without findings two stand together above the graph.
    """
    if len(found) < _ALL or not report.findings:
        return found
    worst, heat = report.findings[0], found[2]
    steps_below = worst.severity == "info" or bool(worst.where.nodes)
    if steps_below and heat.spec["height"] <= _SHORT:
        return found
    return [*found[:-1], widened(found[-1])]
