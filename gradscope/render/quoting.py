r"""Text from the user's program, made safe for the DOT language and for the SVG made from it.

Graphviz has three places for text, each with its own traps: attributes (quotes, backslash
sequences such as ``\N`` for the node's name, and HTML entities are all interpreted), HTML-like
labels (markup), and names. User text only ever goes into the first two, through here.
"""

from __future__ import annotations

import html
import re

from gradscope.render.safe import NAME_LIMIT, visible

_NOT_XML = re.compile("[\ufffe\uffff]")


def plain(text: str, limit: int = NAME_LIMIT) -> str:
    """The text on one line of at most ``limit`` characters, nothing hidden, nothing XML forbids."""
    return _NOT_XML.sub(lambda match: f"\\u{ord(match[0]):04x}", visible(text, limit))


def markup(text: str, limit: int = NAME_LIMIT) -> str:
    """The text for an HTML-like label, shown as it is."""
    return html.escape(plain(text, limit)).replace("\\", r"\\")


def attribute(*lines: str) -> str:
    """A quoted attribute value with these lines; they must be plain.

    Graphviz unescapes the backslashes of tooltips twice (2.43 and 14.1 alike).
    """
    escaped = (line.replace("&", "&amp;").replace("\\", r"\\\\") for line in lines)
    return '"' + r"\n".join(line.replace('"', "&quot;") for line in escaped) + '"'
