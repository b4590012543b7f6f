"""The report as GitHub-flavoured Markdown, to keep beside the code or to paste into an issue."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gradscope.model.finding import Finding, Report
from gradscope.render.chains import chain_text, chain_views
from gradscope.render.facts import finding_facts, run_facts
from gradscope.render.options import RenderOptions
from gradscope.render.places import without_folder
from gradscope.render.rows import (
    Gap,
    Row,
    all_findings,
    cells,
    fit_rows,
    gap_text,
    legend,
    parameter_rows,
    title,
    used_headers,
)
from gradscope.render.safe import (
    LINE_LIMIT,
    LIST_LIMIT,
    PROSE_LIMIT,
    block,
    cell,
    code,
    escape,
    link_target,
    prose,
    visible,
)
from gradscope.render.summary import (
    Verdict,
    checked_briefly,
    chosen_graph,
    more_findings,
    target_name,
    verdict,
)
from gradscope.render.unseen import unseen

_RIGHT = frozenset({"value", "gradient", "update"})
_CODE = frozenset({"name", "shape"})
_HEADING_LIMIT = 300
_FIX_LIMIT = 1_500
_CHAIN_LIMIT = 8_000
_LISTED = 12


def render_markdown(report: Report, options: RenderOptions) -> str:
    """The report as one Markdown document with the picture of ``options.image`` in it.

    Nothing from the user's program can become markup: names stand in code spans, everything else
    is escaped.
    """
    answer = verdict(report)
    parts = [
        _heading(answer),
        *_crash(answer, report, options.folder),
        *_beside(answer, report),
        *_image(report, options),
        *_findings(report, options),
        *_chains(report, options),
        *_plots(options),
        *_run(report),
        *_parameters(report, options),
        *_unseen(report),
    ]
    return "\n\n".join(parts) + "\n"


def _heading(answer: Verdict) -> str:
    return f"# {code(answer.location)} {prose(answer.text, _HEADING_LIMIT)}".replace("#  ", "# ")


def _crash(answer: Verdict, report: Report, folder: str) -> Iterator[str]:
    error = report.trace.script_error
    if error is None:
        return
    if answer.source and answer.source.text:
        yield block(answer.source.text, "python")
    if answer.fix:
        yield block(answer.fix, "python")
    if "\n" in error.message.strip():
        yield block(error.message.strip())
    if error.traceback:
        yield block(without_folder(error.traceback.rstrip(), folder))


def _beside(answer: Verdict, report: Report) -> Iterator[str]:
    absent, more = checked_briefly(report), more_findings(report)
    if answer.kind == "clean" and absent:
        yield f"Looked for: {prose(absent, LIST_LIMIT)}."
    if answer.kind == "problem" and more:
        yield f"Also found: {more}, below."


def _image(report: Report, options: RenderOptions) -> Iterator[str]:
    if not options.image:
        return
    chosen = chosen_graph(report, options.step)
    kind = "Gradient graph" if chosen is None or chosen.graph.backward_ran else "Forward graph"
    where = "" if chosen is None or chosen.step is None else f", step {chosen.step}"
    alt = escape(visible(f"{kind} of {target_name(report.trace)}{where}", LINE_LIMIT))
    yield f"![{alt}]({link_target(options.image)})"


def _chains(report: Report, options: RenderOptions) -> Iterator[str]:
    views = chain_views(report, chosen_graph(report, options.step))
    if views:
        yield "## The chain rule, with the numbers"
        yield block("\n\n".join(map(chain_text, views)), limit=_CHAIN_LIMIT)


def _plots(options: RenderOptions) -> Iterator[str]:
    if options.plots:
        yield "## Plots"
    for about, link in options.plots:
        yield f"![{escape(visible(about, PROSE_LIMIT))}]({link_target(link)})"


def _findings(report: Report, options: RenderOptions) -> Iterator[str]:
    if not report.findings:
        return
    yield "## Findings"
    for finding in report.findings[: options.max_findings]:
        yield from _finding(finding)
    if (left := len(report.findings) - options.max_findings) > 0:
        yield f"… and {left} more findings"


def _finding(finding: Finding) -> Iterator[str]:
    yield f"### {finding.code} {prose(finding.name)}, {finding.severity}"
    yield prose(finding.message)
    facts = [f"- **{label}** {prose(text)}" for label, text in finding_facts(finding)]
    source = finding.where.source
    if source is not None:
        text = code(source.text, LINE_LIMIT)
        facts.insert(0, f"- **line** {code(source.location)}{': ' if text else ''}{text}")
    facts += _consequences(finding)
    if facts:
        yield "\n".join(facts)
    if finding.fix:
        yield "**fix**"
        yield block(finding.fix.strip(), "python", _FIX_LIMIT)


def _consequences(finding: Finding) -> list[str]:
    explained = list(all_findings(finding.consequences))
    lines = [
        f"- **explains** {other.code} {prose(other.name)}: {prose(other.message)}"
        for other in explained[:_LISTED]
    ]
    if len(explained) > _LISTED:
        lines.append(f"- … and {len(explained) - _LISTED} more")
    return lines


def _run(report: Report) -> Iterator[str]:
    yield "## Run"
    rows = [f"| {label} | {cell(prose(text))} |" for label, text in run_facts(report.trace)]
    yield "\n".join(["| | |", "| --- | --- |", *rows])


def _parameters(report: Report, options: RenderOptions) -> Iterator[str]:
    rows = parameter_rows(report)
    if not rows:
        return
    yield f"## {title(rows)}"
    yield _table(fit_rows(rows, options.max_rows))
    if hint := legend(rows):
        yield prose(f"{hint[0].upper()}{hint[1:]}.")


def _table(fitted: Sequence[Row | Gap]) -> str:
    rows = [row for row in fitted if isinstance(row, Row)]
    headers = used_headers(rows)
    rules = ["---:" if header in _RIGHT else "---" for header in headers]
    lines = [_row(list(headers.values())), _row(rules)]
    for row in fitted:
        if isinstance(row, Gap):
            lines.append(_row([gap_text(row), *[""] * (len(headers) - 1)]))
            continue
        texts = cells(row)
        lines.append(_row([_cell(header, texts[header]) for header in headers]))
    return "\n".join(lines)


def _cell(header: str, text: str) -> str:
    return cell(code(text) if header in _CODE else prose(text))


def _row(texts: Sequence[str]) -> str:
    return f"| {' | '.join(texts)} |"


def _unseen(report: Report) -> Iterator[str]:
    sentences = unseen(report)
    if sentences:
        yield "## Not seen"
        yield "\n".join(f"- {prose(sentence)}" for sentence in sentences)
