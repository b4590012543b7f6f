"""An op whose derivative is 0 everywhere lies between a parameter and the loss.

What: ``round``, ``floor``, ``ceil``, ``trunc`` or ``sign`` gets a gradient and passes on exactly 0,
and parameters behind it get nothing else, backward after backward. Where the gradient has another
way, as in a straight-through estimator or ``x - x.floor()``, nothing is wrong. Ops that end the
graph, such as ``argmax`` or a comparison, are GS301.

Why it hurts: The parameters behind it never learn, without any error.

Example::

    loss = ((torch.round(model(x)) - y) ** 2).mean()

Instead::

    p = model(x)
    p = p + (torch.round(p) - p).detach()     # straight-through: rounded value, gradient of p
"""

from __future__ import annotations

from collections.abc import Iterator

from gradscope.diagnose.rule import Rule
from gradscope.diagnose.run import Run
from gradscope.diagnose.zeros import find_zeros, told
from gradscope.model.finding import Finding

RULE = Rule(
    "GS303",
    "non-differentiable-op",
    "An op whose derivative is 0 everywhere.",
)


def check(run: Run) -> Iterator[Finding]:
    """One finding per kind of backward with such an op."""
    for zero in find_zeros(run):
        if zero.main.kind == "step":
            yield told(RULE, zero)
