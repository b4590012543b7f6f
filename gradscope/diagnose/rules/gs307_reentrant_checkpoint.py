"""A reentrant checkpoint whose inputs require no gradient: its parameters never get one.

What: ``checkpoint(..., use_reentrant=True)`` ran at least three times, recording on, with no input
that requires a gradient, and an optimizer holds parameters that never got a gradient.

Why it hurts: The reentrant checkpoint decides by its inputs alone whether its result has a graph.
The parameters used inside are left out, whatever they require.

Example::

    h = checkpoint(first_block, images, use_reentrant=True)

Instead::

    h = checkpoint(first_block, images, use_reentrant=False)
"""

from __future__ import annotations

from collections.abc import Iterator

from gradscope.diagnose.rule import Rule
from gradscope.diagnose.run import Run
from gradscope.diagnose.words import code, count, name, place, some
from gradscope.model.events import Call
from gradscope.model.finding import Finding, Where
from gradscope.model.trace import Parameter

RULE = Rule("GS307", "reentrant-checkpoint", "A checkpoint has no input that requires a gradient.")

CALLS = 3


def check(run: Run) -> Iterator[Finding]:
    """One finding per line that runs such a checkpoint."""
    idle = [p for p in run.trace.parameters if _is_idle(p)]
    if not idle or not any(step.kind == "backward" for step in run.trace.steps):
        return
    lines: dict[tuple[str, int] | None, list[Call]] = {}
    for call in run.trace.calls:
        if call.kind == "checkpoint_without_grad":
            at = call.source
            lines.setdefault((at.file, at.line) if at else None, []).append(call)
    for calls in lines.values():
        if sum(call.count for call in calls) >= CALLS:
            yield _finding(calls, idle)


def _is_idle(parameter: Parameter) -> bool:
    held = parameter.optimizers and parameter.requires_grad and parameter.count
    return bool(held) and not any(parameter.gradients.arrived)


def _finding(calls: list[Call], idle: list[Parameter]) -> Finding:
    source = calls[0].source
    times = sum(call.count for call in calls)
    line = name(code(source)) if source is not None and source.text else "a reentrant checkpoint"
    names = [p.name for p in idle]
    return RULE.finding(
        "warning",
        f"{line}{place(source)} ran {count(times, 'time')} with no input that requires a gradient, "
        f"so nothing inside it gets one: {some(names)} never "
        f"{'does' if len(names) == 1 else 'do'}",
        where=Where(parameter=names[0], source=source),
        steps=(max(calls[0].after_step, 0), max(calls[-1].after_step, 0)),
        seen=times,
        of=times,
        evidence={"calls": times, "parameters": len(names)},
        cause="The reentrant checkpoint looks at its inputs only: where none requires a gradient "
        "its result has no graph, though the parameters inside require one.",
        fix="checkpoint(block, x, use_reentrant=False)",
        silence="requires_grad_(False) for parameters inside that are not meant to learn.",
    )
