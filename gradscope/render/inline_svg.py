"""Graphviz's SVG made fit to stand inside a page: known elements only, ids of its own, no fonts.

Several pictures share one page, so every id gets a prefix. Whatever is not on the lists here is
left out, so that nothing in a picture can run, load or restyle anything.
"""

from __future__ import annotations

import html
import io
import re
from xml.etree import ElementTree

_SVG = "{http://www.w3.org/2000/svg}"
_ELEMENTS = frozenset(
    ("svg", "g", "a", "path", "polygon", "polyline", "ellipse", "circle", "rect", "text", "title")
)
_SHAPE = frozenset(("d", "points", "x", "y", "cx", "cy", "rx", "ry", "r", "width", "height"))
_PAINT = frozenset(("fill", "stroke", "stroke-width", "stroke-dasharray", "fill-opacity"))
_TEXT = frozenset(("font-size", "font-weight", "font-style"))
_ATTRIBUTES = _SHAPE | _PAINT | _TEXT | {"class", "transform"}
_PX_PER_PT = 96 / 72
_PROLOG = re.compile(r"^.*?(?=<svg\b)", re.DOTALL)
_PIECE = re.compile(r"<text([^>]*)>([^<]*)</text>")
_LINE = re.compile(
    r'(?:<text[^>]* y="([^"]*)"[^>]*>[^<]*</text>)(?:<text[^>]* y="\1"[^>]*>[^<]*</text>)+'
)
_PLACE = re.compile(r' [xy]="[^"]*"')
_LONG_FRACTION = re.compile(r"(\.\d)\d+")


def inline_svg(svg: str, prefix: str, name: str) -> str:
    """The picture as an element of an HTML page.

    Args:
        svg: What Graphviz wrote.
        prefix: Goes before every id, as ``ops-n12``.
        name: What it shows, for screen readers.

    Raises:
        ValueError: It is no SVG.
    """
    # The prolog goes first: with it every document type and entity.
    source = io.BytesIO(_PROLOG.sub("", svg, count=1).encode())
    written: list[str] = []
    skipped = 0
    try:
        for event, element in ElementTree.iterparse(source, events=("start", "end")):
            tag = element.tag.removeprefix(_SVG)
            if tag not in _ELEMENTS:
                skipped += 1 if event == "start" else -1
            elif not skipped and event == "end":
                written += _end(tag, element)
            elif not skipped:
                written.append(_start(tag, element, prefix, name))
    except (ElementTree.ParseError, IndexError) as error:
        raise ValueError(f"the picture is no SVG: {error}") from error
    return _LINE.sub(_one_text, "".join(written))


def _one_text(line: re.Match[str]) -> str:
    """The pieces of a line as one text: the browser's font may be wider than Graphviz thought."""
    pieces = _PIECE.findall(line.group())
    place = "".join(_PLACE.findall(pieces[0][0]))
    spans = (f"<tspan{_PLACE.sub('', told)}>{text}</tspan>" for told, text in pieces)
    return f"<text{place}>{''.join(spans)}</text>"


def _start(tag: str, element: ElementTree.Element, prefix: str, name: str) -> str:
    if tag == "svg":
        box = element.get("viewBox", "")
        width = float(box.split()[2]) * _PX_PER_PT
        told = f'viewBox="{html.escape(box)}" width="{width:.0f}"'
        return f'<svg {told} role="img" aria-label="{html.escape(name)}">'
    attributes = {key: _shorter(key, value) for key, value in element.items() if key in _ATTRIBUTES}
    if identity := element.get("id"):
        attributes["id"] = f"{prefix}-{identity}"
    anchor = element.get("text-anchor", "start")
    if anchor != "start":
        attributes["text-anchor"] = anchor
    told = "".join(f' {key}="{html.escape(value)}"' for key, value in attributes.items())
    return f"<{'g' if tag == 'a' else tag}{told}>"


def _end(tag: str, element: ElementTree.Element) -> list[str]:
    # The text of an element is complete only at its end; only leaves hold any.
    text = html.escape(element.text or "", quote=False) if tag in ("text", "title") else ""
    return [text, f"</{'g' if tag == 'a' else tag}>"]


def _shorter(key: str, value: str) -> str:
    """Coordinates with one digit behind the point: a picture of 400 boxes is mostly digits."""
    return _LONG_FRACTION.sub(r"\1", value) if key in ("d", "points", "x", "y") else value
