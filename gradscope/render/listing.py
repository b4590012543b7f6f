"""The lines around a line of the user's program: read at the edge, given to renderers as data."""

from __future__ import annotations

import os
import tokenize
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gradscope.model.finding import Report
from gradscope.model.graph import Source
from gradscope.render.rows import all_findings

_AROUND = 3
_LONGEST_FILE = 5_000_000  # bytes

Place = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Listing:
    """Some consecutive lines of a file.

    Attributes:
        first: Number of the first line, 1-based.
        lines: The lines without their ends.
    """

    first: int
    lines: tuple[str, ...]


def blamed_sources(report: Report) -> tuple[Source, ...]:
    """Every line that the report blames."""
    found = [finding.where.source for finding in all_findings(report.findings)]
    if report.trace.script_error is not None:
        found.append(report.trace.script_error.source)
    return tuple(dict.fromkeys(source for source in found if source is not None))


def read_listings(sources: Iterable[Source]) -> dict[Place, Listing]:
    """The lines around each of these lines, as far as they can still be read.

    A file that has changed since, or another one that happens to lie there on this machine, is
    left out: the line must read as it was recorded.
    """
    files: dict[str, list[str]] = {}
    found = {}
    for source in sources:
        if source.file not in files:
            files[source.file] = _read(source.file)
        if listing := listing_at(files[source.file], source):
            found[source.file, source.line] = listing
    return found


def listing_at(lines: list[str], source: Source) -> Listing | None:
    """The lines around one; None when the file does not hold the line as it was recorded."""
    if not source.text or not 0 < source.line <= len(lines):
        return None
    if lines[source.line - 1].strip() != source.text:
        return None
    start = max(0, source.line - 1 - _AROUND)
    return Listing(start + 1, tuple(lines[start : source.line + _AROUND]))


def listing_of(source: Source | None, listings: Mapping[Place, Listing]) -> Listing | None:
    """What is known around a line; the line alone where nothing else is."""
    if source is None:
        return None
    known = listings.get((source.file, source.line))
    if known is not None or not source.text:
        return known
    return Listing(source.line, (source.text,))


def _read(file: str) -> list[str]:
    # A recording may name anything; a pipe would wait for ever.
    if not os.path.isfile(file):
        return []
    try:
        with tokenize.open(file) as stream:
            return stream.read(_LONGEST_FILE).splitlines()
    except (OSError, SyntaxError, ValueError):
        return []
