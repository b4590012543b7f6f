"""Vega's SVG of a plot made fit to stand inside a page: known elements only, colours of the page.

Like ``inline_svg`` for Graphviz: what is not on the lists here is left out. What a mark is
described by stays as its ``aria-label``, which the page's script shows; a link around a mark
becomes the id of that node in ``data-n``. Nothing in a picture can run, load or restyle anything.
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Mapping
from xml.etree import ElementTree

from gradscope.render.plot import THEME

_SVG = "{http://www.w3.org/2000/svg}"
_XLINK = "{http://www.w3.org/1999/xlink}"
_ELEMENTS = frozenset(
    ("svg", "g", "a", "path", "line", "text", "image", "defs", "linearGradient", "stop")
)
_KEPT = frozenset(
    (
        *("d", "x", "y", "x1", "x2", "y1", "y2", "width", "height", "transform"),
        *("fill", "stroke", "stroke-width", "stroke-dasharray", "stroke-miterlimit", "opacity"),
        *("font-size", "font-weight", "text-anchor", "preserveAspectRatio"),
        *("offset", "stop-color", "aria-label"),
    )
)
_USUAL = {
    "opacity": "1",
    "stroke-width": "1",
    "text-anchor": "start",
    "font-weight": "normal",
    "transform": "translate(0,0)",
}
_PAINT = frozenset(("fill", "stroke", "stop-color"))
_HIDDEN = frozenset(("background", "foreground"))
_NAMED = re.compile(r"(?!layer_)(\w+?)(?:_\d+)?_marks$")  # without a place among panels
_NODE = re.compile(r"#n(\d+)$")
_PIXELS = re.compile(r"data:image/png;base64,[A-Za-z0-9+/=]+")
_COLOR = re.compile(r"#[0-9a-f]{6}|rgb\(\d+, \d+, \d+\)|none|transparent")
_GRADIENT = re.compile(r"url\(#(gradient_\d+)\)")
_LONG_FRACTION = re.compile(r"(\.\d)\d+")
_LONG_OFFSET = re.compile(r"(\.\d{4})\d+")


def inline_plot(svg: str, prefix: str, name: str) -> str:
    """The plot as an element of an HTML page.

    Args:
        svg: What Vega wrote.
        prefix: Goes before every id, as ``heat-gradient_0``.
        name: What it shows, for screen readers.

    Raises:
        ValueError: It is no SVG.
    """
    return _Writer(prefix, name).written(svg)


class _Writer:
    """One plot on its way into the page."""

    def __init__(self, prefix: str, name: str) -> None:
        self.prefix = prefix
        self.name = name
        self.parts: list[str] = []
        self.ends: list[str] = []
        self.skipped = 0
        self.node = ""

    def written(self, svg: str) -> str:
        try:
            for event, element in ElementTree.iterparse(
                io.BytesIO(svg.encode()), events=("start", "end")
            ):
                if event == "start":
                    self._start(element.tag.removeprefix(_SVG), element)
                else:
                    self._end(element)
        except (ElementTree.ParseError, IndexError) as error:
            raise ValueError(f"the plot is no SVG: {error}") from error
        return "".join(self.parts)

    def _start(self, tag: str, element: ElementTree.Element) -> None:
        if self.skipped or tag not in _ELEMENTS or _is_hidden(element):
            self.skipped += 1
            return
        self.ends.append("" if tag == "a" else f"</{tag}>")
        if tag == "a":
            found = _NODE.search(element.get(f"{_XLINK}href", ""))
            self.node = found[1] if found else ""
            return
        told = self._root(element) if tag == "svg" else self._attributes(tag, element)
        if tag == "g" and not told:
            self.ends[-1] = ""
            return
        attributes = "".join(f' {key}="{html.escape(value)}"' for key, value in told.items())
        self.parts.append(f"<{tag}{attributes}>")

    def _end(self, element: ElementTree.Element) -> None:
        if self.skipped:
            self.skipped -= 1
            return
        # The text of an element is complete only at its end; only leaves hold any.
        if element.tag == f"{_SVG}text":
            self.parts.append(html.escape(element.text or "", quote=False))
        if element.tag == f"{_SVG}a":
            self.node = ""
        self.parts.append(self.ends.pop())
        element.clear()

    def _root(self, element: ElementTree.Element) -> dict[str, str]:
        return {"viewBox": element.get("viewBox", ""), "role": "img", "aria-label": self.name}

    def _attributes(self, tag: str, element: ElementTree.Element) -> Mapping[str, str]:
        told = {
            key: self._value(key, value)
            for key, value in element.items()
            if key in _KEPT and _USUAL.get(key) != value
        }
        if tag == "g":
            told.pop("aria-label", None)
            if named := _NAMED.search(element.get("class", "")):
                told["class"] = named[1]
        elif self.node:
            told["data-n"] = self.node
        if identity := element.get("id"):
            told["id"] = f"{self.prefix}-{identity}"
        if tag == "image" and _PIXELS.fullmatch(link := element.get(f"{_XLINK}href", "")):
            told["href"] = link
        return {key: value for key, value in told.items() if value}

    def _value(self, key: str, value: str) -> str:
        if key in _PAINT:
            return self._paint(value)
        if key == "aria-label":
            return value
        if key == "offset":
            return _LONG_OFFSET.sub(r"\1", value)
        return _LONG_FRACTION.sub(r"\1", value).removesuffix("px")

    def _paint(self, value: str) -> str:
        """A colour of the page where there is one; otherwise as it is, or none at all."""
        if value in THEME:
            return f"var(--{THEME[value]})"
        if gradient := _GRADIENT.fullmatch(value):
            return f"url(#{self.prefix}-{gradient[1]})"
        return value if _COLOR.fullmatch(value) else ""


def _is_hidden(element: ElementTree.Element) -> bool:
    return element.get("class") in _HIDDEN
