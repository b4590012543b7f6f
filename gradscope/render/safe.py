r"""Text from the user's program, made harmless before it reaches a terminal or Markdown.

Names and source lines may hold anything: ANSI escapes, right-to-left overrides, HTML, pipes,
lone surrogates, ten thousand characters. Nothing here loses a character silently: what cannot
be shown is spelled out (``\x1b``), what is cut is marked with ``…``.
"""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import quote

from gradscope.render.units import shorten

NAME_LIMIT = 64
LINE_LIMIT = 160
PROSE_LIMIT = 600
LIST_LIMIT = 4_000

_NOT_XML = "\ufffe\uffff"  # no picture may hold them, and vl-convert dies of them
_SPELLED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
# Without the joiners, emoji families and several scripts fall apart; they cannot reorder text.
_JOINERS = "\u200c\u200d"
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_ASCII = {"–": "-", "…": "...", "µ": "u", "×": "x", "→": "->", "·": "-"}
# An underscore inside a word is no emphasis in GitHub's Markdown: my_name stays readable.
_MARKDOWN_SPECIAL = re.compile(r"[\\`*\[\]~$]|(?<![^\W_])_|_(?![^\W_])")
# A heading, a list or an underline would begin here.
_LINE_START = re.compile(r"^(\d*)([#+=.)-])(?=[\s#=-]|$)")
_BACKTICKS = re.compile(r"`+")


def visible(text: str, limit: int = NAME_LIMIT, *, unicode: bool = True) -> str:
    """The text on one line of at most ``limit`` characters, with nothing hidden in it.

    Args:
        text: Anything.
        limit: Characters to keep; the middle gives way to ``…``.
        unicode: False spells out every character beyond ASCII.
    """
    text = "".join(map(_spell, shorten(text, limit)))
    if unicode:
        return shorten(text, limit)
    return to_ascii(shorten(to_ascii(text), limit - 2))


def to_ascii(text: str) -> str:
    """The text in ASCII: gradscope's own signs by look-alikes, everything else as escapes."""
    if text.isascii():
        return text
    text = "".join(_ASCII.get(char, char) for char in text)
    return text.encode("ascii", "backslashreplace").decode("ascii")


def _spell(char: str) -> str:
    if char.isprintable() or char in _JOINERS:
        return char
    if unicodedata.category(char) not in _HIDDEN_CATEGORIES and char not in _NOT_XML:
        return char
    if char in _SPELLED:
        return _SPELLED[char]
    code = ord(char)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def prose(text: str, limit: int = PROSE_LIMIT) -> str:
    """Markdown that shows the text as it is, apart from ```code``` in pairs of backticks."""
    pieces = visible(text.strip(), limit).split("`")
    if len(pieces) % 2 == 0 or not all(piece.strip() for piece in pieces[1::2]):
        pieces = ["`".join(pieces)]
    written = "".join(
        code(piece, limit) if index % 2 else escape(piece) for index, piece in enumerate(pieces)
    )
    return _LINE_START.sub(r"\1\\\2", written)


def escape(text: str) -> str:
    """Markdown that shows every character of a visible text as it is, inside a line."""
    text = _MARKDOWN_SPECIAL.sub(r"\\\g<0>", text)
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def code(text: str, limit: int = NAME_LIMIT) -> str:
    """A Markdown code span of the text, whatever backticks it holds; empty for nothing."""
    text = visible(text, limit)
    if not text.strip():
        return ""
    fence = "`" * (_longest_run(text) + 1)
    pad = " " if text[0] in "` " or text[-1] in "` " else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def cell(markdown: str) -> str:
    """Finished Markdown, fit to be a table's cell, where a bare pipe ends even a code span."""
    return markdown.replace("|", "\\|")


def block(text: str, language: str = "", limit: int = 4_000) -> str:
    """A fenced Markdown code block of the text; lines stay lines, a long text loses its middle."""
    lines = [visible(line, LINE_LIMIT * 2) for line in shorten(text, limit).splitlines()]
    fence = "`" * max(3, _longest_run("\n".join(lines)) + 1)
    return "\n".join([f"{fence}{language}", *lines, fence])


def link_target(link: str) -> str:
    """A link or ``data:`` URI as a Markdown link target."""
    return quote(link, safe="/:.%#?=&,;+-_~@!$'*", errors="replace")


def _longest_run(text: str) -> int:
    return max((len(run) for run in _BACKTICKS.findall(text)), default=0)
