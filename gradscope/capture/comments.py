"""The user's ``# gradscope: ignore[GS401]`` comments, read when the run is over."""

from __future__ import annotations

import io
import linecache
import re
import tokenize
from collections.abc import Iterable, Iterator

from gradscope.capture.cells import shown_file
from gradscope.model.asked import Suppression

_COMMENT = re.compile(r"#\s*gradscope:\s*ignore\b(?:\s*\[([^\]]*)\])?", re.IGNORECASE)
_BETWEEN = (tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.ENCODING)


def suppressions(files: Iterable[str]) -> tuple[Suppression, ...]:
    """Every such comment in these files, as Python read them when they first ran."""
    return tuple(found for file in sorted(files) for found in _in_file(file))


def _in_file(file: str) -> Iterator[Suppression]:
    text = "".join(linecache.getlines(file))
    if "gradscope:" not in text.lower():
        return
    waiting: list[tokenize.TokenInfo] = []
    first = 0
    for token in _tokens(text):
        if token.type == tokenize.COMMENT:
            waiting.append(token)
        elif token.type not in _BETWEEN and not first:
            first = token.start[0]
        if token.type in (tokenize.NEWLINE, tokenize.ENDMARKER):
            yield from _of_statement(file, waiting, first, token.start[0])
            waiting, first = [], 0


def _tokens(text: str) -> Iterator[tokenize.TokenInfo]:
    """As far as the text is Python: a notebook's cell may hold more."""
    try:
        yield from tokenize.generate_tokens(io.StringIO(text).readline)
    except (tokenize.TokenError, SyntaxError):
        return


def _of_statement(
    file: str, comments: Iterable[tokenize.TokenInfo], first: int, last: int
) -> Iterator[Suppression]:
    """A comment before the statement stands for itself: only its own line is meant."""
    for comment in comments:
        found = _COMMENT.search(comment.string)
        line = comment.start[0]
        if found is not None:
            span = (first, last) if line >= first else (line, line)
            codes = tuple(code.strip().upper() for code in (found[1] or "").split(","))
            yield Suppression(shown_file(file), line, *span, tuple(filter(None, codes)), found[0])
