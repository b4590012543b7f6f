"""What a report did not see: sampled, truncated, skipped, left over."""

from __future__ import annotations

from collections.abc import Iterator

from gradscope.model.finding import Report
from gradscope.model.trace import Trace
from gradscope.render.summary import plural
from gradscope.render.units import format_integer, shorten

_STEPS_NAMED = 6


def unseen(report: Report) -> tuple[str, ...]:
    """One sentence for everything that a reader must not take for seen."""
    trace = report.trace
    return (
        *trace.notes,
        *report.notes,
        *_backwards_without_graph(trace),
        *_truncated_graphs(trace),
        *_forward_only(trace),
        *_dropped(trace),
        *_skipped_rules(report),
    )


def _backwards_without_graph(trace: Trace) -> Iterator[str]:
    kept = [step.index for step, _ in trace.graphs]
    if len(kept) == len(trace.steps):
        return
    of = plural(len(trace.steps), "backward")
    if not kept:
        yield f"Whole graphs: kept for none of {of}; parameters were followed in all."
        return
    named = ", ".join(map(str, kept[:_STEPS_NAMED]))
    if len(kept) > _STEPS_NAMED:
        named += f" … {kept[-1]}"
    coarse = sum(step.level == "params" for step in trace.steps)
    seen = "was seen at its" if coarse == 1 else "were seen at the"
    rest = f"; {format_integer(coarse)} {seen} parameters only" if coarse else ""
    steps = "step" if len(kept) == 1 else "steps"
    yield f"Whole graphs: kept for {format_integer(len(kept))} of {of} ({steps} {named}){rest}."


def _truncated_graphs(trace: Trace) -> Iterator[str]:
    for step, graph in trace.graphs:
        if graph.structure.truncated:
            left = plural(graph.structure.truncated, "node")
            yield f"The graph of step {step.index} is cut: {left} were not walked."
            return


def _forward_only(trace: Trace) -> Iterator[str]:
    graphs = trace.forward_graphs
    if graphs:
        nodes = plural(sum(len(graph.structure.nodes) for graph in graphs), "node")
        count = plural(len(graphs), "forward graph")
        yield f"{count} ({nodes}) had no backward: values are known, gradients are not."
    if trace.unused_forwards:
        calls = plural(trace.unused_forwards, "torch call")
        yield f"{calls} built graph that no backward used."


def _dropped(trace: Trace) -> Iterator[str]:
    for reason, count in trace.dropped.items():
        yield f"{shorten(reason, 200)}: {format_integer(count)}."


def _skipped_rules(report: Report) -> Iterator[str]:
    by_reason: dict[tuple[bool, str], list[str]] = {}
    for skipped in report.skipped:
        by_reason.setdefault((skipped.failed, skipped.reason), []).append(skipped.code)
    for (failed, reason), codes in by_reason.items():
        verb = "failed inside gradscope" if failed else "did not run"
        yield f"{', '.join(codes)} {verb}: {reason}"
