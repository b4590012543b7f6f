"""An update uses gradients that an earlier update has used already: no zero_grad.

What: At an update of a parameter, by an optimizer or by hand, its ``.grad`` still holds what was
added before that parameter's previous update, besides what was added since. Several backwards per
update (micro-batches, two losses, LBFGS closures) are none of this, nor is a gradient that another
player's loss left behind and that is cleared before the update. A target network that is copied
from a trained one uses no gradients, old or new: see GS403.

Why it hurts: The update follows the sum of all gradients so far instead of the present one. The
steps grow, overshoot and swing about the minimum.

Example::

    for x, y in loader:
        loss = criterion(model(x), y)
        loss.backward()         # adds to .grad
        optimizer.step()

Instead::

        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from gradscope.diagnose.copies import copies
from gradscope.diagnose.rule import Rule
from gradscope.diagnose.run import Run
from gradscope.diagnose.words import code, count, name, place, some
from gradscope.model.finding import Finding, Where
from gradscope.model.graph import Source
from gradscope.model.trace import Parameter, Update

RULE = Rule(
    "GS401", "accumulated-gradient", "Updates use gradients of earlier updates: no zero_grad."
)

_NAME = r"[A-Za-z_][\w.]*(?:\[[^\]]*\])?"
_STEP = re.compile(rf"({_NAME})\.step\(\s*({_NAME})?\s*\)")
OFTEN = 2  # updates; a single one may be a slip at the end of an epoch


@dataclass(frozen=True)
class Stale:
    """One parameter that was updated with old gradients.

    Attributes:
        parameter: Which.
        rows: Positions in its ``updates`` where old and new gradients were summed.
        summed: The most contributions in one update.
    """

    parameter: Parameter
    rows: tuple[int, ...]
    summed: int


def check(run: Run) -> Iterator[Finding]:
    """One finding per optimizer (or per updating by hand) for all its parameters."""
    stories: dict[tuple[str, ...], list[Stale]] = {}
    copied = {p.index for found in copies(run) for p in found.parameters}
    for parameter in run.trace.parameters:
        stale = _stale(parameter, len(run.trace.updates))
        if stale is not None and parameter.index not in copied:
            stories.setdefault(_updaters(run, stale), []).append(stale)
    for members in stories.values():
        yield _finding(run, members)


def _stale(parameter: Parameter, known: int) -> Stale | None:
    """The parameter's updates with old gradients, of those that the trace knows."""
    history = parameter.updates
    if not any(history.carried):
        return None
    rows = tuple(
        row
        for row, (fresh, carried) in enumerate(zip(history.fresh, history.carried, strict=True))
        if fresh > 0 and carried > 0 and history.update[row] < known
    )
    if not rows:
        return None
    most = max(history.fresh[row] + history.carried[row] for row in rows)
    return Stale(parameter, rows, most)


def _updaters(run: Run, stale: Stale) -> tuple[str, ...]:
    history = stale.parameter.updates
    labels = {_update(run, history.update[row]).optimizer for row in stale.rows}
    return (*sorted(labels), "", *stale.parameter.optimizers)


def _update(run: Run, index: int) -> Update:
    return run.trace.updates[index]


def _finding(run: Run, members: Sequence[Stale]) -> Finding:
    worst = max(members, key=lambda stale: len(stale.rows))
    history = worst.parameter.updates
    updates = [_update(run, history.update[row]) for row in worst.rows]
    backward, step = _backward_line(run, updates), updates[0].source
    clearings = _clearings(worst)
    names = [stale.parameter.name for stale in members]
    inside = " or ".join(worst.parameter.optimizers) if updates[0].by == "hand" else ""
    return RULE.finding(
        "error" if len(worst.rows) >= OFTEN else "warning",
        _message(backward, updates[0], names, clearings, inside)
        + f" ({len(worst.rows)} of {count(len(history), 'update')})",
        where=Where(parameter=names[0] if len(names) == 1 else "", source=backward or step),
        steps=(max(updates[0].after_step, 0), max(updates[-1].after_step, 0)),
        seen=len(worst.rows),
        of=len(history),
        evidence={
            "updates": len(history),
            "accumulated_updates": len(worst.rows),
            "most_summed": max(stale.summed for stale in members),
            "clearings": clearings,
            "parameters": len(members),
            "first_parameter": names[0],
            "backward_line": backward.location if backward else "",
            "step_line": step.location if step else "",
        },
        cause=_cause(max(stale.summed for stale in members), clearings),
        fix=_fix(updates[0], names, inside),
        silence="Clearing .grad between updates. Several backwards before one update are never "
        "reported.",
    )


def _backward_line(run: Run, updates: Sequence[Update]) -> Source | None:
    """The line that most often ran backward before one of those updates."""
    lines: Counter[tuple[str, int]] = Counter()
    sources: dict[tuple[str, int], Source] = {}
    for update in updates:
        step = run.step(update.after_step)
        if step is not None and step.source is not None:
            key = (step.source.file, step.source.line)
            lines[key] += 1
            sources[key] = step.source
    return sources[lines.most_common(1)[0][0]] if lines else None


def _clearings(stale: Stale) -> int:
    """How often the old gradients had gone again before an update."""
    carried = stale.parameter.updates.carried
    return sum(1 for before, after in pairwise(carried) if before and not after)


def _message(
    backward: Source | None, update: Update, names: Sequence[str], clearings: int, inside: str
) -> str:
    what = name(code(backward)) if backward and backward.text else "backward"
    adds = f"{what}{place(backward)} adds to gradients that"
    if inside:
        return f"{adds} {inside} already used: call zero_grad() in the closure first"
    if update.by == "hand":
        return (
            f"{adds} the update by hand already used: clear .grad of {some(list(names))} after it"
        )
    where = "before every backward, not now and then" if clearings else "first"
    return (
        f"{adds} {name(_call(update))}{place(update.source)} already used: "
        f"call {_owner(update)}.zero_grad() {where}"
    )


def _call(update: Update) -> str:
    """The call that stepped, as the user's line has it: ``scaler.step(opt)``."""
    found = _STEP.search(update.source.text if update.source else "")
    return f"{found[1]}.step({found[2] or ''})" if found else "optimizer.step()"


def _owner(update: Update) -> str:
    """What the user calls the optimizer, as its line says; else ``optimizer``.

    A scaler is given the optimizer as an argument; LBFGS is given a closure.
    """
    found = _STEP.search(update.source.text if update.source else "")
    if found is None:
        return "optimizer"
    return found[2] if found[2] and not update.optimizer.startswith("LBFGS") else found[1]


def _cause(summed: int, clearings: int) -> str:
    most = f"up to {count(summed, 'backward')} were summed in one update"
    if clearings:
        return (
            f"zero_grad() is called, but not before every update ({count(clearings, 'time')}): "
            f"it stands outside of the loop that calls backward; {most}."
        )
    return f"backward() adds to .grad and nothing clears it: {most}."


def _fix(update: Update, names: Sequence[str], inside: str) -> str:
    if inside:
        return "def closure():\n    optimizer.zero_grad()\n    loss = ...\n    loss.backward()"
    if update.by == "hand":
        first = names[0] if names[0].isprintable() else "p"
        return f"{first}.grad = None  # after the update, for every parameter"
    owner = _owner(update)
    return f"{owner}.zero_grad()\nloss.backward()\n{_call(update)}"
