"""The answer of ``Session.flow``: one gradient's way, as text, picture, graph or plain data."""

from __future__ import annotations

import html
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from gradscope.analysis.story import FlowStory, tell_flow
from gradscope.errors import UsageError
from gradscope.model.trace import Trace

if TYPE_CHECKING:
    from networkx import MultiDiGraph

    from gradscope.render.image import Format
    from gradscope.render.options import RenderOptions

FLOW_SUFFIXES = {
    ".svg": "svg",
    ".png": "png",
    ".pdf": "pdf",
    ".dot": "dot",
    ".txt": "text",
    ".md": "markdown",
    ".json": "json",
}
_WIDTH = 110
_MAX_NODES = 80


class FlowResult:
    """The way of the gradient from the loss to one parameter, input or variable.

    ``print`` it, ``render`` it to a file, or read ``hops`` and ``data``. In a notebook it shows
    the text and the picture.
    """

    def __init__(self, story: FlowStory) -> None:
        self._story = story

    @classmethod
    def of(cls, trace: Trace, name: str, step: int | None = None) -> FlowResult:
        """The way to ``name`` in one step of a run.

        Raises:
            UsageError: There is no such way; says why.
        """
        return cls(tell_flow(trace, name, step))

    @property
    def hops(self) -> list[dict[str, Any]]:
        """From the loss on: op, label, module, file, line, gradient RMS, gain, running product."""
        return cast("list[dict[str, Any]]", self.data["hops"])

    @property
    def data(self) -> dict[str, Any]:
        """Everything as plain data, as in the JSON."""
        from gradscope.render.flow_json import flow_data

        return flow_data(self._story)

    def text(self, width: int = _WIDTH) -> str:
        """The way as text, at most ``width`` columns wide (60 to 120)."""
        from gradscope.render.options import RenderOptions

        return self.as_text(RenderOptions(width=width))

    def as_text(self, options: RenderOptions) -> str:
        """The way as text for a terminal."""
        from gradscope.render.flow_text import render_flow_text

        return render_flow_text(self._story, options)

    def dot(self, max_nodes: int = _MAX_NODES) -> str:
        """The picture in the DOT language, folded to about ``max_nodes`` boxes."""
        from gradscope.render.flow_dot import flow_dot

        return flow_dot(self._story, max_nodes=max_nodes)

    def networkx(self) -> MultiDiGraph:
        """The whole graph; nodes and edges of the way have ``on_way`` true.

        See ``gradscope.analysis.export`` for the other attributes.
        """
        from gradscope.analysis.export import to_networkx

        way = self._story.route
        result = to_networkx(self._story.graph)
        on_way = frozenset(way.way)
        for node, attributes in result.nodes(data=True):
            attributes["on_way"] = node in on_way
        for _, _, key, attributes in result.edges(keys=True, data=True):
            attributes["on_way"] = key in way.edges
        return result

    def as_format(self, form: str, max_nodes: int = _MAX_NODES) -> bytes:
        """The way in one of the formats of ``FLOW_SUFFIXES``.

        Raises:
            ImageError: Graphviz could not draw it.
        """
        from gradscope.render.flow_json import render_flow_json
        from gradscope.render.image import render_image
        from gradscope.render.safe import block

        if form == "text":
            return self.text().encode()
        if form == "json":
            return render_flow_json(self._story).encode()
        if form == "markdown":
            return f"{block(self.text(100), limit=40_000)}\n".encode()
        dot = self.dot(max_nodes)
        return dot.encode() if form == "dot" else render_image(dot, cast("Format", form))

    def render(self, path: str | PathLike[str], *, max_nodes: int = _MAX_NODES) -> None:
        """Writes the way to a file.

        Args:
            path: ``.svg``, ``.png``, ``.pdf``, ``.dot``, ``.txt``, ``.md`` or ``.json``.
            max_nodes: Boxes of the picture, about; what is beside the way is folded first.

        Raises:
            UsageError: ``path`` is not usable.
            ImageError: Graphviz could not draw the picture.
        """
        from gradscope.output import check_target, write_file

        target = Path(path)
        form = flow_format(target)
        check_target(target)
        write_file(target, self.as_format(form, max_nodes))

    def __str__(self) -> str:
        return self.text().rstrip("\n")

    def __repr__(self) -> str:
        return f"<gradscope flow to {self._story.name}, step {self._story.step.index}>"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self) if cycle else str(self))

    def _repr_svg_(self) -> str:
        return self.as_format("svg").decode()

    def _repr_html_(self) -> str:
        """The text above the picture; the text alone where Graphviz fails."""
        from gradscope.errors import ImageError
        from gradscope.integrations.display import inline_svg

        text = f'<pre style="overflow:auto">{html.escape(self.text())}</pre>'
        try:
            return text + inline_svg(self._repr_svg_())
        except ImageError:
            return text


def flow_format(path: Path) -> str:
    """The format that the path's suffix stands for.

    Raises:
        UsageError: The suffix stands for none.
    """
    suffix = path.suffix.lower()
    if suffix not in FLOW_SUFFIXES:
        known = " ".join(FLOW_SUFFIXES)
        raise UsageError(f"the suffix of {str(path)!r} stands for no format of flow; use {known}.")
    return FLOW_SUFFIXES[suffix]
