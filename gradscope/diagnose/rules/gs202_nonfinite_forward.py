"""The loss is NaN or Inf: this is the op that first made it so.

What: In the first backward that is not finite, the first op in forward order whose inputs are
finite and whose result, on the way to the loss, is not: an overflow, a logarithm of 0, a division
by 0, a softmax over nothing, or data that held NaN. An infinite attention mask that does no harm
is passed by.

Why it hurts: The loss is no number, and every gradient of that backward is NaN or 0. The next
update writes it into the weights, and from then on everything is NaN.

Example::

    nll = -torch.log(probabilities[rows, y])     # a probability of exactly 0 gives Inf

Instead::

    loss = torch.nn.functional.cross_entropy(logits, y)
"""

from __future__ import annotations

from collections.abc import Iterator

from gradscope.diagnose.broken import find_broken, told
from gradscope.diagnose.rule import Rule
from gradscope.diagnose.run import Run
from gradscope.model.finding import Finding

RULE = Rule("GS202", "nonfinite-forward", "The loss became NaN or Inf: the op where it began.")


def check(run: Run) -> Iterator[Finding]:
    """One finding, if the first backward that was not finite is of this kind."""
    broken = find_broken(run)
    if broken is not None and broken.code == RULE.code:
        yield told(RULE, broken)
