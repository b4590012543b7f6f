"""Findings as the HTML page shows them: the line in its context first, then cause and fix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from markupsafe import Markup

from gradscope.model.finding import Finding, Report
from gradscope.model.graph import Source
from gradscope.render.canvas import Canvas
from gradscope.render.facts import finding_facts
from gradscope.render.listing import Listing, Place, listing_of
from gradscope.render.places import private_path
from gradscope.render.rows import all_findings
from gradscope.render.rule_doc import Part, parts_of
from gradscope.render.safe import PROSE_LIMIT, visible
from gradscope.render.summary import beside_place
from gradscope.render.units import shorten

_CODE_WIDTH = 240
_FIX_LIMIT = 1_500
_DOC_LIMIT = 4_000
_MOST = 200
_CODE = Markup("<code>{}</code>")


@dataclass(frozen=True)
class Line:
    """A line of code.

    Attributes:
        number: 1-based.
        text: The line.
        blamed: Whether it is the one to blame.
    """

    number: int
    text: str
    blamed: bool


@dataclass(frozen=True)
class Passage:
    """A part of what a rule says about itself.

    Attributes:
        title: ``Why it hurts``; may be empty.
        text: A paragraph; may be empty.
        code: An example; may be empty.
    """

    title: str
    text: Markup = field(default_factory=Markup)
    code: str = ""


@dataclass(frozen=True)
class FindingView:
    """One finding.

    Attributes:
        key: Number on the page.
        code: ``GS101``.
        name: ``vanishing gradient``.
        severity: ``error``, ``warning`` or ``info``.
        message: One sentence.
        location: ``train.py:23``; may be empty.
        file: Path of the same, as seen from where the program was started.
        listing: Lines around the one to blame.
        facts: Everything else, as label and text.
        fix: Code, or a sentence.
        nodes: How many nodes of the graph shown it points at.
        explained: Whether it is a consequence of the one before.
        doc: What its rule says about itself, at the first finding of the rule.
    """

    code: str
    name: str
    severity: str
    message: Markup
    location: str
    file: str
    listing: Sequence[Line]
    facts: Sequence[tuple[str, Markup]]
    fix: str
    key: int = 0
    nodes: int = 0
    explained: bool = False
    doc: Sequence[Passage] = ()


def _passages(doc: str) -> list[Passage]:
    return [_passage(part) for part in parts_of(doc)] if doc else []


def _passage(part: Part) -> Passage:
    if part.is_code:
        return Passage(part.title, code=part.text)
    return Passage(part.title, told(part.text.replace("``", "`"), _DOC_LIMIT))


def told(text: str, limit: int = PROSE_LIMIT) -> Markup:
    """HTML that shows the text as it is, with ```code``` in pairs of backticks set as code."""
    pieces = visible(text.strip(), limit).split("`")
    if len(pieces) % 2 == 0 or not all(piece.strip() for piece in pieces[1::2]):
        return Markup.escape("`".join(pieces))
    written = (_CODE.format(p) if i % 2 else Markup.escape(p) for i, p in enumerate(pieces))
    return Markup("").join(written)


def block(text: str, limit: int) -> str:
    """Text whose lines stay lines, each with nothing hidden in it."""
    return "\n".join(visible(line, _CODE_WIDTH) for line in shorten(text, limit).splitlines())


def lines_around(source: Source | None, listings: Mapping[Place, Listing]) -> list[Line]:
    """The lines around one, without the indentation they share."""
    listing = listing_of(source, listings)
    if source is None or listing is None:
        return []
    expanded = [line.expandtabs(4) for line in listing.lines]
    indents = (len(line) - len(line.lstrip()) for line in expanded if line.strip())
    margin = min(indents, default=0)
    lines = [
        Line(number, visible(line[margin:], _CODE_WIDTH), number == source.line)
        for number, line in enumerate(expanded, listing.first)
    ]
    told = [at for at, line in enumerate(lines) if line.text.strip() or line.blamed]
    return lines[told[0] : told[-1] + 1] if told else []


def finding_views(
    report: Report,
    listings: Mapping[Place, Listing],
    nodes: Sequence[Sequence[int]],
    folder: str = "",
) -> list[FindingView]:
    """Every finding, consequences right after their causes.

    Args:
        report: The report.
        listings: Lines around those that findings blame.
        nodes: Per finding, the nodes of the graph shown.
        folder: Paths are told from there.
    """
    top = {id(finding) for finding in report.findings}
    found = list(all_findings(report.findings))[:_MOST]
    first = {finding.code: key for key, finding in reversed(list(enumerate(found)))}
    return [
        replace(
            _view(finding, listings, folder),
            key=key,
            nodes=len(nodes[key]),
            explained=id(finding) not in top,
            doc=_passages(report.docs.get(finding.code, "")) if first[finding.code] == key else (),
        )
        for key, finding in enumerate(found)
    ]


def _view(finding: Finding, listings: Mapping[Place, Listing], folder: str) -> FindingView:
    source = finding.where.source
    file = private_path(source.file, folder) if source else ""
    return FindingView(
        code=finding.code,
        name=visible(finding.name.replace("-", " ")),
        severity=finding.severity,
        message=told(beside_place(finding)),
        location=visible(source.location) if source else "",
        file=visible(f"{file}:{source.line}", 300) if source else "",
        listing=lines_around(source, listings),
        facts=[(label, told(text)) for label, text in finding_facts(finding)],
        fix=block(finding.fix.strip(), _FIX_LIMIT),
    )


def nodes_of_findings(report: Report, canvas: Canvas | None) -> list[list[int]]:
    """Per finding, in the order of the page, the nodes of the graph shown that it is about."""
    found = list(all_findings(report.findings))
    nodes: dict[int, list[int]] = {id(finding): [] for finding in found}
    if canvas is not None:
        for node, about in canvas.flags.items():
            for finding in about:
                nodes[id(finding)].append(node)
    return [sorted(nodes[id(finding)]) for finding in found]
