"""The report for a terminal: the answer first, then why, then what ran."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from gradscope.analysis.errors import explaining
from gradscope.model.finding import Finding, Report
from gradscope.render.facts import finding_facts, run_facts
from gradscope.render.options import RenderOptions
from gradscope.render.rows import all_findings, fit_rows, legend, parameter_rows, title
from gradscope.render.safe import LIST_LIMIT, PROSE_LIMIT, visible
from gradscope.render.summary import Verdict, beside_place, checked_briefly, more_findings, verdict
from gradscope.render.table import table_lines
from gradscope.render.terminal import columns, printed
from gradscope.render.unseen import unseen

_LINES = 12
_COLORS = {
    "crash": "bold red",
    "problem": "bold",
    "clean": "bold green",
    "empty": "bold",
    "error": "red",
    "warning": "yellow",
    "info": "cyan",
    "fix": "green",
}


def render_text(report: Report, options: RenderOptions) -> str:
    """The report as lines of text, at most ``options.width`` columns wide.

    Names and source lines of the program are shown with every control character spelled out;
    without ``options.color`` the result holds no escape sequence at all.
    """
    answer = verdict(report)
    parts = [
        _answer(answer, report, options),
        _findings(report, answer, options),
        _section("Run", _pairs(run_facts(report.trace), options), options),
        _parameters(report, options),
        _section("Not seen", _bullets(unseen(report), options), options),
    ]
    return printed([part for part in parts if part is not None], options)


def _say(text: str, options: RenderOptions, style: str = "", limit: int = PROSE_LIMIT) -> Text:
    color = _COLORS.get(style, style)
    return Text(visible(text, limit, unicode=options.unicode), style=color, overflow="fold")


def _answer(answer: Verdict, report: Report, options: RenderOptions) -> RenderableType:
    text = _say(answer.text, options, answer.kind)
    parts: list[RenderableType] = [text]
    if answer.location:
        location = _say(answer.location, options, answer.kind, limit=32)
        parts = [_grid([(location, text)])]
    if answer.kind == "clean" and (absent := checked_briefly(report)):
        parts.append(_say(f"Looked for: {absent}.", options, limit=LIST_LIMIT))
    if answer.kind == "crash":
        parts.extend(_crash_details(answer, report, options))
    elif more := more_findings(report):
        parts.append(_say(f"Also found: {more}, below.", options))
    return Group(*parts)


def _crash_details(answer: Verdict, report: Report, options: RenderOptions) -> list[RenderableType]:
    error = report.trace.script_error
    message = error.message.strip().splitlines()[1:] if error else []
    explained = explaining(report) is not None
    pairs = [("line", answer.source.text if answer.source and not explained else "")]
    pairs.append(("raised", answer.raised))
    pairs += [("" if i else "message", line) for i, line in enumerate(message[:_LINES])]
    told = _pairs([pair for pair in pairs if pair[1].strip()], options)
    return [*told, *_fix(answer.fix, options)]


def _findings(report: Report, answer: Verdict, options: RenderOptions) -> RenderableType | None:
    if not report.findings:
        return None
    shown = report.findings[: options.max_findings]
    blocks: list[RenderableType] = []
    for index, finding in enumerate(shown):
        first = index == 0 and answer.kind == "problem" and finding.severity != "info"
        said = first or finding is explaining(report)
        blocks.extend([""] if index else [])
        blocks.extend(_finding(finding, options, said=said))
    if left := len(report.findings) - len(shown):
        blocks.extend(["", _say(f"… and {left} more findings", options, "dim")])
    return Group(*blocks)


def _finding(finding: Finding, options: RenderOptions, *, said: bool) -> list[RenderableType]:
    """One finding; ``said`` when the first line of the report was its message already."""
    head = f"{finding.code} {finding.name}, {finding.severity}"
    source = finding.where.source
    blocks: list[RenderableType] = []
    if said:
        blocks.append(_say(head, options, finding.severity))
    else:
        head += f", {source.location}" if source else ""
        blocks.append(_say(head, options, finding.severity))
        blocks.append(_indented(_say(beside_place(finding), options)))
    details = finding_facts(finding)
    return [
        *blocks,
        *_pairs([("line", source.text)] if source and source.text else [], options),
        *_pairs([pair for pair in details if pair[0] == "cause"], options),
        *_fix(finding.fix, options),
        *_pairs([pair for pair in details if pair[0] != "cause"], options),
        *_consequences(finding, options),
    ]


def _fix(fix: str, options: RenderOptions) -> list[RenderableType]:
    lines = fix.strip().splitlines()[:_LINES]
    return _pairs([("" if i else "fix", line) for i, line in enumerate(lines)], options, "fix")


def _consequences(finding: Finding, options: RenderOptions) -> list[RenderableType]:
    explained = list(all_findings(finding.consequences))
    lines = [f"{f.code} {f.name}: {f.message}" for f in explained[:_LINES]]
    if len(explained) > _LINES:
        lines.append(f"… and {len(explained) - _LINES} more")
    return _pairs([("" if i else "explains", line) for i, line in enumerate(lines)], options)


def _parameters(report: Report, options: RenderOptions) -> RenderableType | None:
    rows = parameter_rows(report)
    if not rows:
        return None
    fitted = fit_rows(rows, options.max_rows)
    lines = table_lines(fitted, columns(options) - 2, unicode=options.unicode)
    hint = legend(rows)
    explained = [_say(hint, options, "dim")] if hint else []
    return _section(title(rows), [_indented(Group(*lines, *explained))], options)


def _section(
    heading: str, content: Sequence[RenderableType], options: RenderOptions
) -> RenderableType | None:
    if not content:
        return None
    return Group(_say(heading, options, "bold"), *content)


def _indented(content: RenderableType) -> RenderableType:
    return Padding(content, (0, 0, 0, 2))


def _pairs(
    pairs: Sequence[tuple[str, str]], options: RenderOptions, style: str = ""
) -> list[RenderableType]:
    """Labels and texts in two columns; a wrapped text stays in its own."""
    rows = [(Text(f"{label:9}", style="dim"), _say(text, options, style)) for label, text in pairs]
    return [_indented(_grid(rows))] if rows else []


def _bullets(sentences: Sequence[str], options: RenderOptions) -> list[RenderableType]:
    rows = [(Text("-", style="dim"), _say(sentence, options)) for sentence in sentences]
    return [_indented(_grid(rows, gap=1))] if rows else []


def _grid(rows: Sequence[tuple[Text, Text]], gap: int = 2) -> Table:
    grid = Table.grid(padding=(0, gap, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for row in rows:
        grid.add_row(*row)
    return grid
