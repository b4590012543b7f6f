"""What an update uses is less than a hundredth of what backward computed.

What: On most updates the norm of the gradients, as the optimizer found them, is less than 1 % of
the norm that arrived since the update before. A constant factor is none of this: a mixed-precision
scaler or a hand-written average divides every gradient by the same number. It is a warning where
the weights, in consequence, hardly move (less than a millionth of their size per update) and the
loss stays where it is; for an optimizer such as Adam, which scales gradients itself, it is only
told.

Why it hurts: Every update is as small as the smallest: clipping is meant for exceptions, and this
one throws away what the loss says about how far to go.

Example::

    torch.nn.utils.clip_grad_norm_(model.parameters(), 1e-6)

Instead::

    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median

from gradscope.diagnose.clipping import Clipped, clipped_updates, is_constant_factor
from gradscope.diagnose.rule import Rule
from gradscope.diagnose.run import Run
from gradscope.diagnose.words import count, number, place
from gradscope.model.events import Call
from gradscope.model.finding import Finding, Where

RULE = Rule("GS406", "over-clipped", "Updates use less than 1 % of the gradient.")

KEPT = 0.01  # RULES: share of the gradient that is left
UPDATES = 5
MOST = 0.5  # share of the updates
STILL = 1e-6  # RULES: RMS of the change over RMS of the weights
TINY = 1e-3  # norm of what is left over the norm of the weights: thresholds near 1 are far above


def check(run: Run) -> Iterator[Finding]:
    """One finding per optimizer."""
    for label, rows in clipped_updates(run).items():
        small = [row for row in rows if row.after < KEPT * row.before]
        if len(rows) < UPDATES or len(small) <= MOST * len(rows):
            continue
        stands_still = _stands_still(rows)
        if stands_still or not is_constant_factor(small):
            yield _finding(run, label, rows, small, stands_still)


def _stands_still(rows: Sequence[Clipped]) -> bool:
    """Whether the threshold, and not a small learning rate alone, keeps the weights in place."""
    changes = [row.change for row in rows if row.change is not None]
    sizes = [row.relative for row in rows if row.relative is not None]
    return bool(changes) and median(changes) < STILL and median(sizes) < TINY


def _clip_call(run: Run, label: str) -> Call | None:
    """The call that clipped what the optimizer uses, where it was one of torch's."""
    calls = [c for c in run.trace.calls if c.kind in ("clip", "clip_value")]
    own = [c for c in calls if c.label in (label, "")]
    return own[-1] if own else None


def _finding(
    run: Run, label: str, rows: Sequence[Clipped], small: Sequence[Clipped], stands_still: bool
) -> Finding:
    before, after = median(r.before for r in small), median(r.after for r in small)
    updates = [row.update for row in small]
    clipping = _clip_call(run, label)
    moved = [row.change for row in rows if row.change is not None]
    still = ", and the weights stand still" if stands_still else ""
    return RULE.finding(
        "warning" if stands_still else "info",
        f"{label}{place(updates[0].source)} gets gradients of norm {number(after)} where backward "
        f"computed {number(before)}{still} ({len(small)} of {count(len(rows), 'update')})",
        where=Where(source=(clipping.source if clipping else None) or updates[0].source),
        steps=(max(updates[0].after_step, 0), max(updates[-1].after_step, 0)),
        seen=len(small),
        of=len(rows),
        evidence={
            "norm_before": before,
            "norm_after": after,
            "kept": after / before,
            "update_ratio": median(moved) if moved else 0.0,
        },
        cause="The gradients are clipped to a norm, or to values, far below their usual size.",
        fix=f"torch.nn.utils.clip_grad_norm_(model.parameters(), {number(before)})  "
        "# near the usual norm",
        silence="A threshold that most gradients stay below, or --ignore GS406.",
    )
