"""One backward has a gradient out of all proportion, and the loss is worse ever after.

What: The norm over all gradients of one backward is more than twenty times the largest of the
twenty backwards before it and far outside their scatter, it is an exception and not the beginning
of a lasting growth, and the losses that follow are worse than any before it in that stretch.
Batches of one, whose gradients jump by nature, jumps that do no harm, and the trials of a line
search (LBFGS) are none of this.

Why it hurts: A single update of that size can undo hours of training, and an optimizer with
momentum repeats it for many steps.

Example::

    loss = criterion(model(batch), y)       # one broken batch among thousands
    loss.backward()
    optimizer.step()

Instead::

    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)     # between the two
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import median

from gradscope.diagnose.history import Row, find_growth, rows_of
from gradscope.diagnose.rule import Rule
from gradscope.diagnose.run import Run, Story
from gradscope.diagnose.words import count, number
from gradscope.model.finding import Finding, Where

RULE = Rule("GS104", "gradient-spike", "One gradient out of all proportion, and a worse loss.")

HISTORY = 20  # backwards before it
FACTOR = 20.0  # times the largest of them
ROBUST_Z = 10.0  # RULES has 2.5 for clipping; to speak takes more
AFTER = 5  # losses behind it that must be worse, not counting the next two of its own echo
WORSE = 2.0  # times the worst loss before it, as their median


def check(run: Run) -> Iterator[Finding]:
    """One finding per kind of backward, for its worst spike."""
    for story in run.stories:
        rows = _rows(run, story)
        spikes = [i for i in range(len(rows)) if is_spike(rows, i)]
        if spikes and find_growth(rows) is None and not _are_trials(run, rows):
            yield _finding(story, rows, spikes)


def _rows(run: Run, story: Story) -> list[Row]:
    rows = rows_of(run, story)
    return rows if all(math.isfinite(r.norm) and math.isfinite(r.loss) for r in rows) else []


def _are_trials(run: Run, rows: Sequence[Row]) -> bool:
    """Whether few of the backwards lead to an update: a line search goes too far and comes back."""
    within = range(rows[0].step, rows[-1].step)
    return 0 < sum(u.after_step in within for u in run.trace.updates) * AFTER < len(rows)


def is_spike(rows: Sequence[Row], position: int) -> bool:
    """Whether the row is a spike that made the losses behind it worse.

    Args:
        rows: Backwards of one kind, in order.
        position: Which of them.
    """
    before = rows[max(0, position - HISTORY) : position]
    after = rows[position + 1 : position + 1 + AFTER]
    if len(before) < HISTORY or len(after) < AFTER:
        return False
    norms = [row.norm for row in before]
    middle, norm = median(norms), rows[position].norm
    # 1.4826 makes the median absolute deviation comparable with a standard deviation.
    spread = 1.4826 * median(abs(value - middle) for value in norms)
    if norm <= FACTOR * max(norms) or norm - middle <= ROBUST_Z * spread:
        return False
    worst = max(row.loss for row in before)
    return worst > 0 and median(row.loss for row in after) > WORSE * worst


def _finding(story: Story, rows: Sequence[Row], spikes: Sequence[int]) -> Finding:
    worst = max(spikes, key=lambda i: rows[i].norm)
    row = rows[worst]
    usual = median(r.norm for r in rows[worst - HISTORY : worst])
    before = median(r.loss for r in rows[worst - HISTORY : worst])
    after = median(r.loss for r in rows[worst + 1 : worst + 1 + AFTER])
    return RULE.finding(
        "warning",
        f"gradient norm jumps to {number(row.norm)} in step {row.step}, "
        f"{number(row.norm / usual) if usual else 'infinitely many'} times the usual "
        f"{number(usual)}, and the loss goes from {number(before)} to {number(after)} with it",
        where=Where(source=story.source),
        steps=(rows[spikes[0]].step, rows[spikes[-1]].step),
        seen=len(spikes),
        of=len(rows),
        evidence={
            "norm": row.norm,
            "usual_norm": usual,
            "loss_before": before,
            "loss_after": after,
            "loss_at_spike": row.loss,
            "spikes": count(len(spikes), "spike"),
        },
        cause="One batch with values or labels far from all others, or weights that came near a "
        "cliff of the loss.",
        fix="torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)  # before optimizer.step(); "
        "and look at that batch",
        silence="Clipped gradients, or --ignore GS104.",
    )
