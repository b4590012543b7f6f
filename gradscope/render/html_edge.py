"""The HTML report with everything it needs: draws, reads the lines, then renders."""

from __future__ import annotations

from collections.abc import Callable

from gradscope.model.finding import Report
from gradscope.render.html import Extras, render_html
from gradscope.render.html_graph import draw_pictures
from gradscope.render.listing import blamed_sources, read_listings
from gradscope.render.options import RenderOptions
from gradscope.render.plot_svg import figures
from gradscope.render.plots import plots, plotted
from gradscope.render.vega import Drawer


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
        shown, missing = figures(plots(numbers), drawer)
    listings = read_listings(blamed_sources(report))
    return render_html(report, options, pictures, Extras(listings, [*problems, *missing], shown))
