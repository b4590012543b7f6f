"""What text, Markdown and JSON share: the verdict, the graph to show, the words for counts.

Everything here is plain text that still holds the user's names: renderers escape it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Literal

from gradscope.analysis.errors import explaining, meaning
from gradscope.model.finding import Finding, Report
from gradscope.model.graph import Graph, Source
from gradscope.model.trace import FAILED_CAPTURES, ScriptError, Step, Trace
from gradscope.render.units import format_integer, shorten

_FEW_CHECKED = 8


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer, before anything else.

    Attributes:
        kind: ``crash``, ``problem``, ``clean`` or ``empty``.
        location: ``train.py:23``; empty when no line is to blame.
        text: One sentence.
        source: The line to show under it, when its text is known.
        raised: Of a crash that is explained: ``RuntimeError: … (train.py:31)``.
        fix: What to change, where no finding says it.
    """

    kind: Literal["crash", "problem", "clean", "empty"]
    location: str
    text: str
    source: Source | None = None
    raised: str = ""
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Chosen:
    """The graph that a report shows.

    Attributes:
        step: Index of its step; None for a graph that no backward used.
        graph: The graph.
    """

    step: int | None
    graph: Graph


def verdict(report: Report) -> Verdict:
    """The one sentence a reader needs if they read only one."""
    trace = report.trace
    if trace.script_error is not None:
        return _crash(trace.script_error, explaining(report), target_name(trace))
    problems = [f for f in report.findings if f.severity != "info"]
    if problems:
        worst = problems[0]
        source = worst.where.source
        return Verdict("problem", source.location if source else "", beside_place(worst), source)
    failed = [step for step in trace.steps if step.error]
    if failed:
        return _failed_backward(failed, len(trace.steps))
    if not trace.steps:
        return Verdict("empty", "", _nothing_ran(trace))
    notes = len(report.findings)
    hint = f" ({plural(notes, 'note')} below)" if notes else ""
    backwards = plural(len(top_level(trace)), "backward")
    return Verdict("clean", "", f"No problem found in {backwards} of {target_name(trace)}{hint}.")


def beside_place(finding: Finding) -> str:
    """The message for a line that begins with the finding's place, without that place in it."""
    source = finding.where.source
    return finding.message.replace(f" ({source.location})", "") if source else finding.message


def _crash(error: ScriptError, finding: Finding | None, target: str) -> Verdict:
    said = _said(error)
    if finding is not None:
        source = finding.where.source
        location = source.location if source else ""
        return Verdict("crash", location, beside_place(finding), source, said)
    known = meaning(error)
    if known is not None:
        location = error.source.location if error.source else ""
        return Verdict("crash", location, known.means, error.source, said, known.fix)
    lines = error.message.strip().splitlines()
    what = f"raised {error.type}" + (f": {lines[0]}" if lines else "")
    if error.source is None:
        return Verdict("crash", "", f"{target} {what}")
    return Verdict("crash", error.source.location, what, error.source)


def _said(error: ScriptError) -> str:
    """The exception on one line, with its place."""
    lines = error.message.partition(" Hint: ")[0].strip().splitlines()
    text = f"{error.type}: {lines[0]}" if lines else error.type
    return f"{text} ({error.source.location})" if error.source else text


def _failed_backward(failed: list[Step], of: int) -> Verdict:
    first = failed[0]
    location = first.source.location if first.source else ""
    count = f"{format_integer(len(failed))} of {plural(of, 'backward')} failed"
    return Verdict("problem", location, f"{count}: {first.error}", first.source)


def _nothing_ran(trace: Trace) -> str:
    failed = trace.dropped.get(FAILED_CAPTURES, 0)
    if failed:
        times = plural(failed, "time")
        return f"No backward of {target_name(trace)} could be captured: that failed {times}."
    if trace.updates or trace.dropped:
        though = f", though {plural(len(trace.updates), 'update')} ran" if trace.updates else ""
        start = f"No backward of {target_name(trace)} was seen{though}"
        return f"{start}, so there are no gradients to show."
    start = f"{target_name(trace)} ran no backward, so there are no gradients"
    if trace.forward_graphs:
        return f"{start}; only forward graphs were built."
    if trace.unused_forwards:
        return f"{start}; the graph it built was gone at the end."
    return f"{start}; it built no graph either."


def checked(report: Report) -> str:
    """What was looked for and found absent; empty when that is not known."""
    found = {finding.name for finding in report.findings}
    clean = [name.replace("-", " ") for name in report.checked if name not in found]
    return ", ".join(clean)


def checked_briefly(report: Report) -> str:
    """The same in a few words where it is long."""
    names = checked(report).split(", ")
    if len(names) <= _FEW_CHECKED:
        return ", ".join(names)
    return f"{len(names)} kinds of problem, from {names[0]} to {names[-1]} (see gradscope rules)"


def more_findings(report: Report) -> str:
    """How many findings there are beside the first; empty for none."""
    words = {"error": "error", "warning": "warning", "info": "note"}
    rest = Counter(words[finding.severity] for finding in report.findings[1:])
    return ", ".join(plural(rest[word], word) for word in words.values() if rest[word])


def chosen_graph(report: Report, step: int | None = None) -> Chosen | None:
    """The graph to show: of ``step``, else of the worst finding, else the last one kept."""
    kept = {s.index: graph for s, graph in report.trace.graphs}
    wanted = [step] if step is not None else [f.where.step for f in report.findings]
    outer = [s.index for s, _ in report.trace.graphs if s.nested_in is None]
    for index in [*wanted, *outer[-1:], *list(kept)[-1:]]:
        if index is not None and index in kept:
            return Chosen(index, kept[index])
    forward = report.trace.forward_graphs
    return Chosen(None, forward[-1]) if forward else None


def target_name(trace: Trace) -> str:
    """What ran, short: ``train.py``, ``-m package``, ``the traced block``."""
    if trace.target == "trace()":
        return "the traced block"
    return shorten(trace.target.replace("\\", "/").rsplit("/", 1)[-1], 60)


def plural(count: int, noun: str) -> str:
    """``1 backward``, ``1,000 backwards``, ``2 passes``."""
    ending = "" if count == 1 else ("es" if noun.endswith("s") else "s")
    return f"{format_integer(count)} {noun}{ending}"


def top_level(trace: Trace) -> list[Step]:
    """The backwards that ran by themselves, not inside another one."""
    return [step for step in trace.steps if step.nested_in is None]
