"""Labelled facts that text and Markdown list: about the run, and about one finding.

Everything here is plain text that still holds the user's names: renderers escape it.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterator

from gradscope.model.finding import Finding
from gradscope.model.trace import Step, Trace
from gradscope.render.summary import plural, target_name, top_level
from gradscope.render.units import (
    format_duration_ns,
    format_integer,
    format_number,
    format_percent,
    shorten,
)

_SERIES_SHOWN = 4


def run_facts(trace: Trace) -> list[tuple[str, str]]:
    """What ran, as label and sentence."""
    facts = [("ran", _command(trace)), ("backwards", _backwards(trace))]
    facts.append(("failed", _failed(trace)))
    facts.append(("updates", _updates(trace)))
    facts.extend(("loss", line) for line in _losses(trace))
    if trace.overhead.total_ns:
        facts.append(("gradscope", _overhead(trace)))
    return [(label, text) for label, text in facts if text]


def _command(trace: Trace) -> str:
    arguments = " ".join(arg if arg and " " not in arg else repr(arg) for arg in trace.argv)
    command = f"{target_name(trace)} {shorten(arguments, 80)}".rstrip()
    known = trace.environment
    versions = [f"{name} {known[name]}" for name in ("torch", "python") if name in known]
    inside = ", ".join([*versions, *([known["device"]] if "device" in known else [])])
    return f"{command} ({inside})" if inside else command


def _backwards(trace: Trace) -> str:
    steps = top_level(trace)
    if not steps:
        return "none"
    parts = [format_integer(len(steps))]
    by_grad = sum(step.kind == "grad" for step in steps)
    if by_grad:
        parts[0] += f" ({format_integer(by_grad)} by torch.autograd.grad)"
    if sizes := [step.node_count for step in steps if step.node_count is not None]:
        parts.append(_graph_of(min(sizes), max(sizes)))
    if durations := [step.backward_ns for step in steps if step.backward_ns]:
        middle = "" if len(durations) == 1 else " each (median)"
        parts.append(format_duration_ns(statistics.median(durations)) + middle)
    if nested := len(trace.steps) - len(steps):
        parts.append(f"{format_integer(nested)} more ran inside them")
    return ", ".join(parts)


def _failed(trace: Trace) -> str:
    errors = Counter(shorten(step.error, 200) for step in trace.steps if step.error)
    return "; ".join(f"{format_integer(n)} with {error}" for error, n in errors.most_common(3))


def _graph_of(low: int, high: int) -> str:
    if low == high:
        return f"graph of {plural(low, 'node')}"
    return f"graphs of {format_integer(low)} to {plural(high, 'node')}"


def _updates(trace: Trace) -> str:
    if not trace.updates:
        return "none" if trace.steps else ""
    by = Counter(
        "hand" if update.by == "hand" else update.optimizer or "an optimizer"
        for update in trace.updates
    )
    return ", ".join(f"{format_integer(n)} by {name}" for name, n in by.most_common(_SERIES_SHOWN))


def _losses(trace: Trace) -> Iterator[str]:
    """One line per place that ran backward; players of a GAN do not share a loss."""
    steps = [s for s in top_level(trace) if s.loss is not None and s.kind == "backward"]
    names: dict[object, set[tuple[str, ...]]] = {}
    for step in steps:
        names.setdefault(_place(step), set()).update({step.roots} if step.roots else ())
    series: dict[object, list[Step]] = {}
    for step in steps:
        several = len(names[_place(step)]) > 1
        series.setdefault((_place(step), step.roots if several else ()), []).append(step)
    ranked = sorted(series.values(), key=lambda steps: (-len(steps), steps[0].index))
    for found in ranked[:_SERIES_SHOWN]:
        yield _loss_line(found, named=len(ranked) > 1)
    if len(ranked) > _SERIES_SHOWN:
        yield f"and from {plural(len(ranked) - _SERIES_SHOWN, 'other place')}"


def _place(step: Step) -> tuple[str, int] | None:
    return (step.source.file, step.source.line) if step.source else None


def _loss_line(steps: list[Step], named: bool) -> str:
    first, last = steps[0], steps[-1]
    roots = next((step.roots for step in steps if step.roots), ()) if named else ()
    name = f"{shorten(', '.join(roots), 40)}: " if roots else ""
    if first is last:
        return f"{name}{format_number(first.loss)}"
    change = f"{format_number(first.loss)} → {format_number(last.loss)}"
    return f"{name}{change} (steps {first.index} to {last.index})"


def _overhead(trace: Trace) -> str:
    cost = trace.overhead
    share = format_percent(cost.share)
    return f"took {share} of the run's {format_duration_ns(cost.total_ns)}"


def finding_facts(finding: Finding) -> list[tuple[str, str]]:
    """Everything about one finding but its message and fix, as label and text."""
    where = finding.where
    parts = {
        "parameter": where.parameter,
        "variable": where.variable,
        "op": where.op,
        "module": where.module,
    }
    place = ", ".join(f"{part} {_quoted(name)}" for part, name in parts.items() if name)
    numbers = ", ".join(
        f"{shorten(name.replace('_', ' '), 64)} {_evidence(value)}"
        for name, value in finding.evidence.items()
        if value != ""
    )
    facts = [("cause", finding.cause), ("where", place), ("seen", _seen(finding))]
    facts += [("numbers", numbers), ("silence", finding.silence)]
    return [(label, text) for label, text in facts if text]


def _quoted(name: str) -> str:
    return f"`{shorten(name, 64).replace('`', chr(39))}`"


def _evidence(value: float | int | str) -> str:
    return shorten(value, 64) if isinstance(value, str) else format_number(value)


def _seen(finding: Finding) -> str:
    first, last = finding.steps
    span = f"step {first}" if first == last else f"steps {first} to {last}"
    if finding.of <= 1:
        return span
    return f"{format_integer(finding.seen)} of {format_integer(finding.of)}, {span}"
