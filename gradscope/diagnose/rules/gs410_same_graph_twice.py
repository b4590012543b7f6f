"""One loss ran backward twice into the same update: its gradient counts double.

What: Two backwards ran through the same graph, the first with ``retain_graph=True``, from losses of
the same value, gave the same parameters the same gradients, and the update that followed consumed
the sum of both; at least three times and in at least half of the backwards of that line.

Why it hurts: The learning rate is doubled unnoticed, and half of the time of the backwards is lost.

Example::

    loss.backward(retain_graph=True)
    log_gradients(model)
    loss.backward()
    optimizer.step()

Instead::

    loss.backward()
    log_gradients(model)
    optimizer.step()
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence

from gradscope.diagnose.rule import Rule
from gradscope.diagnose.run import Run
from gradscope.diagnose.words import code, count, name, place
from gradscope.model.finding import Finding, Where
from gradscope.model.trace import Parameter, Step

RULE = Rule("GS410", "same-graph-twice", "One loss runs backward twice into the same update.")

TIMES = 3
SAME = 1e-4  # relative difference of the two gradients' norms
_Pair = tuple[Step, Step]


def check(run: Run) -> Iterator[Finding]:
    """One finding per line of the second backward."""
    pairs: dict[tuple[str, int] | None, list[_Pair]] = {}
    for first, second in _pairs(run.trace.steps):
        if _is_doubled(run, first, second):
            at = second.source
            pairs.setdefault((at.file, at.line) if at else None, []).append((first, second))
    for found in pairs.values():
        firsts = _alike(run, found[0][0])
        if len(found) >= TIMES and 2 * len(found) >= firsts:
            yield _finding(found, firsts)


def _pairs(steps: Sequence[Step]) -> Iterator[_Pair]:
    """Backwards that reach back to the same node, one after the other."""
    last: dict[tuple[str, int], Step] = {}
    for step in steps:
        plain = step.kind == "backward" and step.error is None and step.nested_in is None
        if step.made is None or not plain:
            continue
        key = (step.thread, step.made[0])
        before = last.get(key)
        if before is not None and before.keep_graph and not before.create_graph:
            yield before, step
        last[key] = step


def _is_doubled(run: Run, first: Step, second: Step) -> bool:
    same_size = first.node_count == second.node_count
    if first.loss is None or first.loss != second.loss or not same_size:
        return False
    between = any(first.index <= u.after_step < second.index for u in run.trace.updates)
    following = next((u for u in run.trace.updates if u.after_step >= second.index), None)
    if between or following is None:
        return False
    reached = [p for p in run.trace.parameters if _arrived(p, first) or _arrived(p, second)]
    same = all(_is_same(p, first, second) for p in reached)
    consumed = [p for p in reached if _consumed_both(p, following.index)]
    return bool(consumed) and same


def _row(parameter: Parameter, step: Step) -> int | None:
    at = bisect_left(parameter.gradients.step, step.index)
    found = at < len(parameter.gradients) and parameter.gradients.step[at] == step.index
    return at if found else None


def _arrived(parameter: Parameter, step: Step) -> bool:
    row = _row(parameter, step)
    return row is not None and bool(parameter.gradients.arrived[row])


def _is_same(parameter: Parameter, first: Step, second: Step) -> bool:
    rows = [_row(parameter, first), _row(parameter, second)]
    norms = [parameter.gradients.norm[row] for row in rows if row is not None]
    return len(norms) == 2 and math.isclose(*norms, rel_tol=SAME)


def _consumed_both(parameter: Parameter, update: int) -> bool:
    history = parameter.updates
    rows = [i for i, at in enumerate(history.update) if at == update]
    lost = history.lost if len(history.lost) else [0] * len(history)
    return any(history.fresh[i] >= 2 and not lost[i] for i in rows)


def _alike(run: Run, first: Step) -> int:
    """How many backwards the line of the first one ran, second ones from the same line left out."""
    graphs = {
        (s.thread, s.made[0])
        for s in run.trace.steps
        if s.source == first.source and s.kind == "backward" and s.made is not None
    }
    return len(graphs)


def _finding(found: Sequence[_Pair], of: int) -> Finding:
    first, second = found[0]
    root = next(filter(None, first.roots), "")
    line = name(code(second.source)) if second.source is not None else "backward"
    return RULE.finding(
        "warning",
        f"{line}{place(second.source)} runs {name(root) if root else 'the loss'} backward a second "
        f"time before the update, {count(len(found), 'time')} in {count(of, 'backward')}: its "
        f"gradient counts double{_after(first, second)}",
        where=Where(variable=root, source=second.source),
        steps=(first.index, found[-1][1].index),
        seen=len(found),
        of=of,
        evidence={
            "first_backward": first.source.location if first.source else "",
            "second_backward": second.source.location if second.source else "",
        },
        cause="Both backwards add the same gradient to .grad; nothing clears it between them.",
        fix="loss.backward()  # once, without retain_graph",
        silence="zero_grad() between the two, or autograd.grad for a look at the gradient.",
    )


def _after(first: Step, second: Step) -> str:
    if first.source is None or first.source == second.source:
        return ""
    return f" (the first is {name(code(first.source))}{place(first.source)})"
