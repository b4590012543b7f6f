"""Findings as linters print them: one line each, in full, or as GitHub's workflow commands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from rich.text import Text

from gradscope.model.finding import Finding, Report
from gradscope.render.facts import finding_facts
from gradscope.render.options import RenderOptions
from gradscope.render.places import place_of
from gradscope.render.rows import all_findings
from gradscope.render.safe import PROSE_LIMIT, visible
from gradscope.render.summary import beside_place, plural, top_level
from gradscope.render.terminal import lines_of

_COLORS = {"error": "bold red", "warning": "bold yellow", "info": "bold cyan"}
_GITHUB = {"error": "error", "warning": "warning", "info": "notice"}
_FIX_LINES = 12
_ESCAPED = {"%": "%25", "\r": "%0D", "\n": "%0A"}


def render_concise(report: Report, options: RenderOptions) -> str:
    """One line per finding, ``train.py:23: GS401 message``, with the first line of its fix."""
    lines = [line for finding in report.findings for line in _concise(finding, report, options)]
    return lines_of(lines, color=options.color)


def render_full(report: Report, options: RenderOptions) -> str:
    """Every finding with the line it blames, its cause, its fix and its numbers."""
    lines: list[Text] = []
    for finding in report.findings:
        lines += [Text("")] if lines else []
        lines += _full(finding, report, options)
    return lines_of(lines, color=options.color)


def render_github(report: Report, options: RenderOptions) -> str:
    """Workflow commands that GitHub shows beside the line, relative to ``options.folder``."""
    return "".join(f"{_command(finding, report, options)}\n" for finding in report.findings)


def summary_line(report: Report) -> str:
    """``Found 2 findings (1 error, 1 warning).`` or what a clean run was checked for."""
    ignored = f" {plural(len(report.ignored), 'finding')} ignored." if report.ignored else ""
    if not report.findings:
        return f"{_clean(report)}{ignored}"
    kinds = Counter(finding.severity for finding in report.findings)
    counts = [
        f"{n} info" if kind == "info" else plural(n, kind)
        for kind in ("error", "warning", "info")
        if (n := kinds[kind])
    ]
    return f"Found {plural(len(report.findings), 'finding')} ({', '.join(counts)}).{ignored}"


def _clean(report: Report) -> str:
    rules = plural(len(report.checked), "rule")
    backwards = len(top_level(report.trace))
    if not backwards:
        return f"Nothing to judge: no backward was seen ({rules} checked)."
    return f"All clean: {plural(backwards, 'backward')}, {rules} checked."


def _head(finding: Finding, report: Report, options: RenderOptions) -> Text:
    file, line = place_of(finding, report, options.folder)
    place = f"{_plain(file, options)}:{line}" if line else _plain(file, options)
    head = Text(f"{place}: ", style="bold")
    head.append(finding.code, style=_COLORS[finding.severity])
    return head


def _concise(finding: Finding, report: Report, options: RenderOptions) -> Iterator[Text]:
    head = _head(finding, report, options)
    yield head.append(f" {_plain(beside_place(finding), options)}", style="none")
    if finding.fix.strip():
        yield Text(f"  fix: {_plain(finding.fix.strip().splitlines()[0], options)}")


def _full(finding: Finding, report: Report, options: RenderOptions) -> Iterator[Text]:
    head = _head(finding, report, options)
    yield head.append(f" {finding.name}, {finding.severity}", style="none")
    yield Text(f"  {_plain(beside_place(finding), options)}")
    source = finding.where.source
    if source is not None and source.text:
        yield _pair("line", source.text, options)
    for index, line in enumerate(finding.fix.strip().splitlines()[:_FIX_LINES]):
        yield _pair("" if index else "fix", line, options)
    for label, text in finding_facts(finding):
        yield _pair(label, text, options)
    for below in all_findings(finding.consequences):
        file, number = place_of(below, report, options.folder)
        where = f"{file}:{number}" if number else file
        yield _pair("explains", f"{below.code} {below.name} at {where}: {below.message}", options)
    yield _pair("more", f"gradscope explain {finding.code}", options)


def _pair(label: str, text: str, options: RenderOptions) -> Text:
    head = f"{label}:" if label else ""
    return Text(f"  {head:9} {_plain(text.rstrip(), options)}")


def _plain(text: str, options: RenderOptions) -> str:
    return visible(text, PROSE_LIMIT, unicode=options.unicode)


def _command(finding: Finding, report: Report, options: RenderOptions) -> str:
    file, line = place_of(finding, report, options.folder)
    properties = [("file", file), ("line", str(line or 1)), ("title", _title(finding))]
    told = ",".join(f"{name}={_property(value)}" for name, value in properties)
    return f"::{_GITHUB[finding.severity]} {told}::{_data(_said(finding))}"


def _title(finding: Finding) -> str:
    return f"{finding.code} {finding.name}"


def _said(finding: Finding) -> str:
    fix = finding.fix.strip()
    return f"{beside_place(finding)}\nfix: {fix}" if fix else beside_place(finding)


def _data(text: str) -> str:
    """As the runner's own toolkit escapes a message."""
    lines: Sequence[str] = text.split("\n")
    shown = "\n".join(visible(line, PROSE_LIMIT) for line in lines)
    return "".join(_ESCAPED.get(char, char) for char in shown)


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
