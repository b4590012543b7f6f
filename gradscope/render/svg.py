"""Graphviz's SVG, made friendlier: tooltips that every viewer shows, and no links."""

from __future__ import annotations

import re

_TITLE = rb"<title>[^<]*</title>\s*"
_LINK = rb'<g id="[^"]*"><a (?:[^>]*? )?xlink:title="(?P<tooltip>[^"]*)"[^>]*>'
_TITLED = re.compile(_TITLE + _LINK + rb"(?P<inside>.*?)</a>\s*</g>", re.DOTALL)


def with_native_tooltips(svg: bytes) -> bytes:
    """Moves tooltips from Graphviz's pseudo links into SVG's own ``<title>`` elements.

    Graphviz writes the name of the node as the title and the tooltip as ``xlink:title`` of an
    ``<a>`` that leads nowhere; browsers differ in what they make of that, and in HTML the ``<a>``
    is focusable.
    """
    return _TITLED.sub(_native, svg)


def _native(match: re.Match[bytes]) -> bytes:
    return b"<title>" + match["tooltip"] + b"</title>\n<g>" + match["inside"] + b"</g>"
