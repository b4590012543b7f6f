"""Micro-batches of which only the last one counts: gradients are cleared at every one of them.

NOTE [The same line, the same loop]
Gradients that are cleared before another backward are mostly meant to be: the other player's, a
probe, the first of two passes. So much must agree before it is called a mistake: every backward
since the optimizer's last step was started by one line, two or more of them were cleared by one
other line, nothing was updated in between, and what the step took is the last gradient alone. A
mean of gradients that the user keeps by himself, per sample or per task, has other proportions,
and in a search for the sharpest point near the weights the loss rises from pass to pass. A step
that is given a closure runs its backwards itself: it finds in ``.grad`` what the one before left.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from gradscope.diagnose.optimizers import Optimizer
from gradscope.diagnose.run import Run
from gradscope.model.graph import Source
from gradscope.model.trace import Parameter, Update

FEWEST = 3  # backwards per step; of two, one may be a probe
SAME = 1e-3  # relative: what the step took and what the last backward gave


@dataclass(frozen=True)
class Thrown:
    """One step of an optimizer that took the last of several gradients.

    Attributes:
        update: The step.
        backwards: How many there were.
        cleared: The line that threw the others away; None where no such call was kept.
        backward: The line that started them.
        wanders: Whether their losses go up and down, as those of other data do.
    """

    update: Update
    backwards: int
    cleared: Source | None
    backward: Source
    wanders: bool


def thrown(run: Run, optimizer: Optimizer) -> Iterator[Thrown]:
    """Its steps before which gradients of the same kind were cleared one after the other."""
    busy = sorted(update.after_step for update in run.trace.updates)
    clearings = _clearings(run, optimizer)
    after = -1
    for update in optimizer.updates:
        until = update.after_step
        first, last = (bisect_right(optimizer.reached, step) for step in (after, until))
        window = optimizer.reached[first:last]
        quiet = bisect_right(busy, after) == bisect_left(busy, until)
        after = until
        if len(window) < FEWEST or not quiet or not _takes_the_last(optimizer, update, window):
            continue
        if first and _has(optimizer, update, optimizer.reached[first - 1]):
            continue
        backward = _one_line(run, window)
        if backward is not None:
            cleared, wanders = _clearing(clearings, window), _wanders(run, window)
            yield Thrown(update, len(window), cleared, backward, wanders)


def _clearings(run: Run, optimizer: Optimizer) -> dict[int, set[Source]]:
    """Index of a step to the lines that cleared after it, unless for another optimizer."""
    others = {facts.label for facts in run.trace.optimizers} - {optimizer.label}
    lines: dict[int, set[Source]] = {}
    for call in run.trace.calls:
        if call.kind == "zero_grad" and call.source and call.label not in others:
            lines.setdefault(call.after_step, set()).add(call.source)
    return lines


def _one_line(run: Run, window: Sequence[int]) -> Source | None:
    """The line of all these backwards; None where they have several, or one is nested."""
    steps = [step for index in window if (step := run.step(index)) is not None]
    sources = [step.source for step in steps if step.source and step.nested_in is None]
    lines = {(source.file, source.line) for source in sources}
    return sources[0] if len(lines) == 1 and len(sources) == len(window) else None


def _clearing(clearings: Mapping[int, set[Source]], window: Sequence[int]) -> Source | None:
    """The one line that cleared after each of these backwards but the last."""
    common = set.intersection(*(clearings.get(step, set()) for step in window[:-1]))
    return common.pop() if len(common) == 1 else None


def _wanders(run: Run, window: Sequence[int]) -> bool:
    """Whether the losses of these backwards go up and down, as those of other data do."""
    steps = [run.step(index) for index in window]
    losses = [step.loss for step in steps if step is not None and step.loss is not None]
    changes = [after - before for before, after in pairwise(losses)]
    return any(change > 0 for change in changes) and any(change < 0 for change in changes)


def _takes_the_last(optimizer: Optimizer, update: Update, window: Sequence[int]) -> bool:
    """Whether all it took is the last gradient, at most scaled as a whole."""
    shares = []
    for parameter in optimizer.held:
        row = bisect_right(parameter.updates.update, update.index) - 1
        if row < 0 or parameter.updates.update[row] != update.index:
            return False
        history = parameter.updates
        took = (history.fresh[row], history.carried[row], history.lost[row])
        if took == (0, 0, 0):
            continue
        if took != (1, 0, len(window) - 1):
            return False
        shares.append(_share(parameter, history.grad_norm[row], window[-1]))
    known = [share for share in shares if share is not None]
    if not known:
        return False
    alone = len(known) == 1
    return all(math.isclose(share, 1.0 if alone else known[0], rel_tol=SAME) for share in known)


def _has(optimizer: Optimizer, update: Update, step: int) -> bool:
    """Whether what it found in ``.grad`` came from a backward before all of these.

    Then they ran inside the step, which was given a closure.
    """
    shares = []
    for parameter in optimizer.held:
        row = bisect_right(parameter.updates.update, update.index) - 1
        if row >= 0 and parameter.updates.update[row] == update.index:
            shares.append(_share(parameter, parameter.updates.grad_norm[row], step))
    known = [share for share in shares if share is not None]
    return all(math.isclose(share, 1.0, rel_tol=SAME) for share in known)


def _share(parameter: Parameter, norm: float, step: int) -> float | None:
    """What the step took over what that backward gave; None for nothing of nothing."""
    history = parameter.gradients
    row = bisect_right(history.step, step) - 1
    given = history.norm[row] if row >= 0 and history.step[row] == step else math.nan
    if given == 0 and norm == 0:
        return None
    return norm / given if given > 0 else math.nan
