"""A parameter's gradient is exactly 0 in every element, backward after backward.

What: From some backward on and to the end of the run, over at least three backwards and half of
all, every element of a parameter's gradient is 0 although updates go on, and the op that makes it
so is known: an activation whose units are all switched off, a softmax over a single entry, or
weights that are all zero on both sides of it. A rounding is GS303. Zeros for other reasons are left
alone: a branch that starts at zero and wakes up with the first update, a hinge loss that is
satisfied, an expert nobody asked, a task that is solved exactly.

Why it hurts: The parameter, and everything behind that op, is never updated again.

Example::

    h = torch.relu(layer(x) - 20)         # every unit is off for every sample
    p = torch.softmax(head(h), dim=1)     # of one output: always 1

Instead::

    h = torch.nn.functional.leaky_relu(layer(x))
    p = torch.sigmoid(head(h))
"""

from __future__ import annotations

from collections.abc import Iterator

from gradscope.diagnose.rule import Rule
from gradscope.diagnose.run import Run
from gradscope.diagnose.zeros import find_zeros, told
from gradscope.model.finding import Finding

RULE = Rule("GS105", "zero-gradient", "A gradient that is exactly 0, and the op that made it so.")


def check(run: Run) -> Iterator[Finding]:
    """One finding per kind of backward with such an op."""
    for zero in find_zeros(run):
        if zero.main.kind != "step":
            yield told(RULE, zero)
