"""A gradient is NaN or Inf though the loss was finite: this is the op where it begins.

What: The first node in backward order whose incoming gradient is finite and whose outgoing one is
not, with the values that did it: a square root, a norm or a power at 0, where the value is fine and
the derivative is not. A loss that is NaN or Inf itself is GS202, and a result that a mask hides
from the loss is GS203. A mixed-precision scaler that skips such a step is no finding.

Why it hurts: One NaN spreads through every sum it meets. The next update writes it into the
weights, and from then on everything is NaN.

Example::

    distance = torch.sqrt(((a - b) ** 2).sum(1))     # at a == b the derivative is 1/0

Instead::

    distance = torch.sqrt(((a - b) ** 2).sum(1) + 1e-12)
"""

from __future__ import annotations

from collections.abc import Iterator

from gradscope.diagnose.broken import find_broken, told
from gradscope.diagnose.rule import Rule
from gradscope.diagnose.run import Run
from gradscope.model.finding import Finding

RULE = Rule("GS201", "nonfinite-gradient", "A gradient became NaN or Inf: the op where it began.")


def check(run: Run) -> Iterator[Finding]:
    """One finding, if the first backward that was not finite is of this kind."""
    broken = find_broken(run)
    if broken is not None and broken.code == RULE.code:
        yield told(RULE, broken)
