"""The HTML report with everything it needs: draws the graph, reads the lines, then renders."""

from __future__ import annotations

from gradscope.model.finding import Report
from gradscope.render.html import Extras, render_html
from gradscope.render.html_graph import draw_pictures
from gradscope.render.listing import blamed_sources, read_listings
from gradscope.render.options import RenderOptions


def html_page(report: Report, options: RenderOptions) -> str:
    """The page; a graph that could not be drawn costs the graph only, and the page says why."""
    pictures, problems = draw_pictures(report, options.step)
    listings = read_listings(blamed_sources(report))
    return render_html(report, options, pictures, Extras(listings, problems))
