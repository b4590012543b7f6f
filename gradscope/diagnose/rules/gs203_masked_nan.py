"""A mask hides a result that is not finite, but its gradient is NaN all the same.

What: The loss is finite, since ``torch.where``, ``masked_fill``, an index or a clamp left out the
elements where an op has no finite value or derivative. In the backward pass these elements get a
gradient of 0, the op multiplies it by Inf, and 0 × Inf is NaN.

Why it hurts: Everything in front of the op gets NaN although the loss looks fine. The next update
writes it into the weights.

Example::

    ratio = torch.where(count > 0, total / count, 0.0)     # 0/0 where count is 0

Instead::

    safe = torch.where(count > 0, count, 1.0)              # harmless before the op as well
    ratio = torch.where(count > 0, total / safe, 0.0)
"""

from __future__ import annotations

from collections.abc import Iterator

from gradscope.diagnose.broken import find_broken, told
from gradscope.diagnose.rule import Rule
from gradscope.diagnose.run import Run
from gradscope.model.finding import Finding

RULE = Rule("GS203", "masked-nan", "NaN in the backward of an op whose result a mask hides.")


def check(run: Run) -> Iterator[Finding]:
    """One finding, if the first backward that was not finite is of this kind."""
    broken = find_broken(run)
    if broken is not None and broken.code == RULE.code:
        yield told(RULE, broken)
