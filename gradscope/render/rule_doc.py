"""A rule's docstring in parts: what, why it hurts, example, instead."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

CODE_SPAN = re.compile(r"``(.+?)``", re.DOTALL)
_TITLED = re.compile(r"([A-Z][a-z][\w ,'-]{0,24}?)(::?)(?:\s|$)")
_INDENTED = (" ", "\t")


@dataclass(frozen=True, slots=True)
class Part:
    """One paragraph or example of a docstring.

    Attributes:
        title: ``Why it hurts``; empty for a paragraph without one.
        text: The prose, on one line; or the lines of an example.
        is_code: Whether it is an example.
    """

    title: str
    text: str
    is_code: bool = False


def parts_of(doc: str) -> Iterator[Part]:
    """The docstring's parts in order; ``Title::`` belongs to the indented lines after it."""
    title = ""
    example: list[str] = []
    summary, *blocks = re.split(r"\n[ \t]*\n", doc.strip("\n"))
    yield Part("", " ".join(summary.split()))
    for block in blocks:
        if block.startswith(_INDENTED):
            example.append(block)
            continue
        if example:
            yield _example(title, example)
        title, example = "", []
        found = _TITLED.match(block)
        if found and found[2] == "::" and not block[found.end() :].strip():
            title = found[1]
        elif found and found[2] == ":":
            yield Part(found[1], " ".join(block[found.end() :].split()))
        else:
            yield Part("", " ".join(block.split()).removesuffix("::"))
    if example:
        yield _example(title, example)


def _example(title: str, blocks: list[str]) -> Part:
    return Part(title, textwrap.dedent("\n\n".join(blocks)).strip("\n"), is_code=True)
