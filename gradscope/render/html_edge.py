"""The HTML report with everything it needs: draws the graph, reads the lines, then renders."""

from __future__ import annotations

from collections.abc import Callable

from gradscope.model.finding import Report
from gradscope.render.html import Extras, render_html
from gradscope.render.html_graph import draw_pictures
from gradscope.render.listing import blamed_sources, read_listings
from gradscope.render.options import RenderOptions


def html_page(
    report: Report, options: RenderOptions, say: Callable[[str], None] = lambda _: None
) -> str:
    """The page; a graph that could not be drawn costs the graph only, and the page says why.

    Args:
        report: The report.
        options: How to draw it.
        say: Called with a few words on what is being laid out.
    """
    pictures, problems = draw_pictures(report, options.step, say=say)
    listings = read_listings(blamed_sources(report))
    return render_html(report, options, pictures, Extras(listings, problems))
