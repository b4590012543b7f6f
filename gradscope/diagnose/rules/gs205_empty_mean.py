"""The loss is a mean over nothing.

What: The first op that made the loss NaN is a mean over no element: every target of the batch is
ignored (or has weight 0), a mask selects nothing, or a sum is divided by a count of 0.

Why it hurts: 0/0 is NaN. It spreads into the gradients, the running averages of the loss, and with
the next update into the weights.

Example::

    loss = nn.functional.cross_entropy(logits, y, ignore_index=0)     # a batch of padding only

Instead::

    if (y != 0).any():
        loss = nn.functional.cross_entropy(logits, y, ignore_index=0)
"""

from __future__ import annotations

from collections.abc import Iterator

from gradscope.diagnose.broken import find_broken, told
from gradscope.diagnose.rule import Rule
from gradscope.diagnose.run import Run
from gradscope.model.finding import Finding

RULE = Rule("GS205", "empty-mean", "The loss is a mean over no element.")


def check(run: Run) -> Iterator[Finding]:
    """One finding, if the first backward that was not finite is of this kind."""
    broken = find_broken(run)
    if broken is not None and broken.code == RULE.code:
        yield told(RULE, broken)
