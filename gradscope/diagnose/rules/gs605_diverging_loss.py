"""The loss gets worse and worse, or falls below any bound, while the weights grow.

What: Of the only loss of a run the end lies clearly above the beginning, and it has climbed in most
stretches of the run; or it falls ever further below zero, hardly slower at the end. Meanwhile the
weights have doubled and moved nearly straight away from zero. Runs with several losses (the
players of a GAN), ``maximize=True``, data that become harder all at once, and losses that only
measure how an agent happens to fare, whose weights wander, are none of this.

Why it hurts: What is trained is the opposite of what is meant, or something without a minimum.

Example::

    loss = -nn.functional.cross_entropy(model(x), y)

Instead::

    loss = nn.functional.cross_entropy(model(x), y)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gradscope.diagnose.history import jumps_by_data, rows_of
from gradscope.diagnose.losses import Curve, Move, growth, moves, objective, outward, trains_a_model
from gradscope.diagnose.rule import Rule
from gradscope.diagnose.run import Run
from gradscope.diagnose.words import number
from gradscope.model.finding import Finding, Where

RULE = Rule("GS605", "diverging-loss", "The loss gets worse and worse, or falls without bound.")

GROWN = 2.0  # times larger weights
STRAIGHT = 0.75  # share of the way that leads outwards; an agent's returns take it 0.2 to 0.4
WORSE = 2.0  # times the loss of the beginning
BELOW = 5.0  # times the size of the first losses, below them


def check(run: Run) -> Iterator[Finding]:
    """One finding at most."""
    curve = objective(run)
    if curve is None or not trains_a_model(run):
        return
    made = max(moves(run).values(), key=len, default=[])
    grown = growth(made)
    if grown < GROWN or outward(made) < STRAIGHT:
        return
    first, last = curve.medians[0], curve.medians[-1]
    harder = jumps_by_data(rows_of(run, curve.story))
    if curve.rises and last - first > (WORSE - 1) * abs(first) and not harder:
        yield _finding(curve, made, grown, rises=True)
    elif curve.falls_on and first - last > BELOW * abs(curve.values[0]):
        yield _finding(curve, made, grown, rises=False)


def _finding(curve: Curve, made: Sequence[Move], grown: float, *, rises: bool) -> Finding:
    first, last = curve.medians[0], curve.medians[-1]
    steps = curve.story.steps
    how = "rises" if rises else "falls without bound"
    return RULE.finding(
        "warning",
        f"the loss {how}, from {number(first)} to {number(last)} in {len(curve.values)} backwards, "
        f"while the weights become {number(grown)} times larger",
        where=Where(source=steps[0].source),
        steps=(steps[0].index, steps[-1].index),
        seen=len(curve.values),
        of=len(curve.values),
        evidence={
            "loss_first": first,
            "loss_last": last,
            "loss_best": min(curve.values),
            "weights_growth": grown,
            "outward": outward(made),
            "updates": len(made),
        },
        cause="The update goes uphill (a sign is wrong), or the learning rate is far too large."
        if rises
        else "A sign is wrong, or the loss has no lower bound, so that larger weights always win.",
        fix="loss = criterion(model(x), y)  # not its negative, and w -= lr * w.grad, not +="
        if rises
        else "loss = criterion(model(x), y)  # a loss that cannot fall below zero",
        silence="maximize=True for an optimizer that is meant to go uphill, or --ignore GS605.",
    )
