"""Gradients are clipped by a total norm that is not finite, and the update uses the result.

What: ``clip_grad_norm_`` came up with a total norm of NaN or Inf, and the next step of the
optimizer used the gradients it left behind. A loss scaler that skips such a step, or a program
that looks at the norm before it steps, is none of this.

Why it hurts: Every gradient is multiplied by the threshold over the total norm. One NaN in one
parameter makes all parameters NaN; one Inf makes all other gradients 0.

Example::

    clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()

Instead::

    norm = clip_grad_norm_(model.parameters(), 1.0, error_if_nonfinite=True)
    optimizer.step()
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence

from gradscope.diagnose.optimizers import Optimizer, optimizers
from gradscope.diagnose.rule import Rule
from gradscope.diagnose.run import Run
from gradscope.diagnose.words import code, count, name, number, place, some
from gradscope.model.events import Call
from gradscope.model.finding import Finding, Where
from gradscope.model.trace import Parameter, Update

RULE = Rule("GS204", "nonfinite-clip", "Gradients are clipped by a norm that is not finite.")

_Hit = tuple[Call, Update]


def check(run: Run) -> Iterator[Finding]:
    """One finding per optimizer, for the first time."""
    for optimizer in optimizers(run):
        clips = [c for c in optimizer.calls if c.kind == "clip"]
        hits = [(c, u) for c in clips if (u := _used(run, optimizer, c)) is not None]
        if hits:
            yield _finding(run, optimizer, hits, len(clips))


def _used(run: Run, optimizer: Optimizer, clip: Call) -> Update | None:
    """The step that used what a clip by a norm that is not finite left behind."""
    if math.isfinite(clip.value):
        return None
    update = optimizer.behind(clip)
    if update is None or update.after_step != clip.after_step or not update.parameters:
        return None
    # A norm that could not be read is NaN as well: then the gradients are as finite as ever.
    left = [_consumed(p, update) for p in optimizer.held]
    spoilt = any(norm is not None and not (0 < norm < math.inf) for norm in left)
    return update if spoilt or math.isinf(clip.value) else None


def _consumed(parameter: Parameter, update: Update) -> float | None:
    """Norm of the gradient that the update used."""
    history = parameter.updates
    row = bisect_left(history.update, update.index)
    found = row < len(history) and history.update[row] == update.index
    return history.grad_norm[row] if found else None


def _finding(run: Run, optimizer: Optimizer, hits: Sequence[_Hit], of: int) -> Finding:
    clip, update = hits[0]
    broken = [p for p in optimizer.held if _is_broken(p, clip.after_step)]
    blame = _blame(optimizer, broken, update)
    line = f"{name(code(clip.source))}{place(clip.source)}" if clip.source else "the clipping"
    return RULE.finding(
        "error",
        f"{line} finds a total norm of {number(clip.value)} in step {clip.after_step}{blame}, and "
        f"{optimizer.label}{place(update.source)} steps all the same "
        f"({len(hits)} of {count(of, 'clip')})",
        where=Where(
            parameter=broken[0].name if broken else "",
            source=clip.source or update.source,
        ),
        steps=(max(clip.after_step, 0), max(hits[-1][0].after_step, 0)),
        seen=len(hits),
        of=of,
        evidence={
            "total_norm": clip.value,
            "max_norm": clip.limit,
            "parameters_not_finite": len(broken),
            "optimizer": optimizer.label,
        },
        cause="The gradients themselves are not finite, or their squares overflow the type they "
        "are summed in."
        if broken or math.isinf(clip.value)
        else "Something between backward and clipping has changed .grad: a division by zero, say.",
        fix="norm = clip_grad_norm_(model.parameters(), 1.0)\nif norm.isfinite(): "
        "optimizer.step()  # and look for the cause",
        silence="A step that is skipped when the norm is not finite.",
    )


def _is_broken(parameter: Parameter, step: int) -> bool:
    history = parameter.gradients
    if step not in history.step:
        return False
    position = history.step.index(step)
    return bool(history.arrived[position]) and not math.isfinite(history.norm[position])


def _blame(optimizer: Optimizer, broken: Sequence[Parameter], update: Update) -> str:
    if broken:
        return f", since the gradient of {some([p.name for p in broken])} is not finite"
    arrived = all(_is_fine(p, update.after_step) for p in optimizer.held)
    return ", though every gradient was finite when it arrived" if arrived else ""


def _is_fine(parameter: Parameter, step: int) -> bool:
    history = parameter.gradients
    return step not in history.step or math.isfinite(history.norm[history.step.index(step)])
