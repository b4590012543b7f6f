"""How traces and pictures show themselves in a notebook."""

from __future__ import annotations

import html

from gradscope.errors import GradscopeError
from gradscope.model.finding import Report
from gradscope.output import OutputOptions, render

# The page scrolls inside its frame; the corner can be dragged for more.
_FRAME = "width:100%;height:min(80vh,860px);min-height:480px;border:1px solid #b0bec5;"
_FRAME += "border-radius:4px;resize:vertical"
_SCROLL = "max-width:100%;max-height:80vh;overflow:auto;background:white"


def page_frame(page: str) -> str:
    """A whole HTML page as an element of another one, kept apart from it.

    Scripts of the page run, without access to the notebook around it.
    """
    return (
        f'<iframe title="gradscope report" sandbox="allow-scripts" style="{_FRAME}" '
        f'srcdoc="{html.escape(page)}"></iframe>'
    )


def inline_svg(svg: str) -> str:
    """A picture in a box that scrolls, without what may only stand at the start of a file."""
    return f'<div style="{_SCROLL}">{svg[svg.index("<svg") :]}</div>'


class Picture:
    """The graph of one result: shows itself in a notebook, or goes to a file.

    Args:
        report: The graph, with what is known about it.
        options: How to draw it.
    """

    def __init__(self, report: Report, options: OutputOptions) -> None:
        self._report = report
        self._options = options

    def svg(self) -> str:
        """The picture as SVG.

        Raises:
            GradscopeError: There is no graph, or Graphviz could not draw it.
        """
        return render(self._report, "svg", self._options).decode()

    def dot(self) -> str:
        """The picture in the DOT language.

        Raises:
            GradscopeError: There is no graph.
        """
        return render(self._report, "dot", self._options).decode()

    def save(self, path: str) -> None:
        """Writes it in the format that the suffix stands for.

        Raises:
            UsageError: ``path`` is not usable.
            GradscopeError: There is no graph, or Graphviz could not draw it.
        """
        from gradscope.saving import save

        save(self._report, path, self._options)

    def __repr__(self) -> str:
        trace = self._report.trace
        graphs = [graph for _, graph in trace.graphs] or list(trace.forward_graphs)
        count = len(graphs[-1].structure.nodes) if graphs else 0
        return f"<gradscope picture of {count:,} nodes>"

    def _repr_svg_(self) -> str | None:
        try:
            return self.svg()
        except GradscopeError:
            return None

    def _repr_html_(self) -> str:
        try:
            return inline_svg(self.svg())
        except GradscopeError as error:
            return f"<pre>{html.escape(str(error))}</pre>"
