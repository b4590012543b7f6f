"""The gradient shrinks by orders of magnitude on its way from the loss to the first layers.

What: Within one backward, the size of the gradient at the outputs of the ops on the main path
(the way on which most of it reaches the ops farthest from the loss) falls by more than a factor
of 1,000, steadily, over at least four of them; or it underflows to exactly 0 on the way. The size
is measured from the output of the last layer on, so a converged or rescaled loss changes nothing.
A single branch of a block, such as the queries of an attention above frozen layers, is none of
this: most of the fall lies in one layer there, or another branch that lies as far is well off.

Why it hurts: The first layers learn that many times more slowly than the last ones, or not at
all. They keep their random initial weights, and what they throw away the others cannot use.

Example::

    layers = [nn.Linear(32, 32) for _ in range(12)]
    for layer in layers:
        h = torch.sigmoid(layer(h))     # the derivative of sigmoid is 0.25 at most

Instead::

    for layer in layers:
        h = h + torch.relu(norm(layer(h)))     # a residual, a normalisation, a ReLU-like activation
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from gradscope.analysis.paths import op_base
from gradscope.diagnose.blame import Blame, blame
from gradscope.diagnose.branches import is_front
from gradscope.diagnose.depth import Trend
from gradscope.diagnose.persistence import Habit, find_habit, graded
from gradscope.diagnose.rule import CannotJudgeError, Rule
from gradscope.diagnose.run import Run
from gradscope.diagnose.words import place, power_of_ten
from gradscope.model.finding import Finding

RULE = Rule(
    "GS101", "vanishing-gradient", "The gradient shrinks 1,000-fold or more towards the input."
)

STEEP = 1 / 3  # per layer: between a sigmoid's 0.25 and the 0.41 of ReLU with default weights
UNDERFLOW = {"float32": 1e-35, "bfloat16": 1e-35, "float64": 1e-300}
SATURATING = frozenset({"Sigmoid", "Tanh"})


def check(run: Run) -> Iterator[Finding]:
    """One finding per kind of backward whose gradient vanishes along the depth."""
    if run.trace.steps and not run.trace.graphs:
        raise CannotJudgeError("no graph was recorded, only parameters: record at level ops")
    for story in run.stories:
        habit = find_habit(run, story, vanishes, through_time=False)
        if habit is not None:
            seen = tuple((index, _with_its_own_zero(trend)) for index, trend in habit.seen)
            yield _finding(run, replace(habit, seen=seen))


def vanishes(trend: Trend) -> bool:
    """Whether the gradient shrinks steadily past the bar, or dies of being small."""
    return (trend.sustained(-1) or _dies(trend)) and is_front(trend)


def _with_its_own_zero(trend: Trend) -> Trend:
    """Without a zero that other things made: a weight that starts at 0 hides all behind it."""
    return trend if _dies(trend) else replace(trend, zero=None)


def _dies(trend: Trend) -> bool:
    """Exactly 0 from one op on, because it was too small or the op had saturated.

    A ReLU whose units are all off also passes on 0, but that is another illness.
    """
    if trend.zero is None:
        return False
    nodes = trend.graph.structure.nodes
    alive = [hop for hop in trend.hops[: trend.zero] if hop.received]
    before = nodes[alive[-1].node]
    if op_base(before.op) in SATURATING:
        return True
    gradient = trend.graph.gradient(before.id)
    limit = UNDERFLOW.get(gradient.dtype, 0.0) if gradient else 0.0
    return (alive[-1].received or math.inf) < limit


def _finding(run: Run, habit: Habit) -> Finding:
    step, trend = habit.worst
    guilty = blame(trend, -1)
    return RULE.finding(
        graded(habit, steep=trend.gain_per_layer < STEEP),
        _message(trend, guilty) + habit.caution,
        where=guilty.where(step, run.trace.parameters),
        steps=habit.steps,
        seen=len(habit.seen),
        of=habit.of,
        evidence=_evidence(trend, guilty),
        cause=_cause(guilty),
        fix=_fix(guilty),
        silence="Fewer or differently scaled layers, or --ignore GS101 where slow first layers "
        "are intended.",
    )


def _message(trend: Trend, guilty: Blame) -> str:
    account = f": {guilty.account()}" if guilty.main else ""
    if trend.zero is None:
        return f"gradient shrinks {power_of_ten(-trend.decades)}-fold {guilty.way()}{account}"
    dead = trend.graph.structure.nodes[trend.hops[trend.zero].node]
    where = f"{guilty.call_it(dead)}{place(dead.source)}"
    if dead.iteration > 1:
        where += f" in iteration {dead.iteration}"
    shrinks = f"shrinks {power_of_ten(-trend.decades)}-fold and " if trend.decades < 0 else ""
    return f"gradient {shrinks}is exactly 0 from {where} on{account}"


def _evidence(trend: Trend, guilty: Blame) -> dict[str, float | int | str]:
    main = guilty.main[0] if guilty.main else None
    sites = trend.sites
    return {
        "decades": round(-trend.decades, 3),
        "sites": len(sites),
        "gain_per_layer": trend.gain_per_layer,
        "spearman": round(-trend.correlation, 3),
        "norm_loss_side": trend.hops[sites[0]].received or 0.0,
        "norm_input_side": 0.0 if trend.zero is not None else trend.hops[sites[-1]].received or 0.0,
        "op": main.name if main else "",
        "op_count": main.count if main else 0,
        "op_gain": main.gain if main else 1.0,
        "op_share": round(main.share, 3) if main else 0.0,
    }


def _cause(guilty: Blame) -> str:
    if guilty.ops & SATURATING:
        return (
            "The derivative of a sigmoid is at most 0.25, that of tanh at most 1 and near 0 where "
            "it saturates; every such layer multiplies the gradient by it."
        )
    if guilty.main and guilty.main[0].count > 1:
        return (
            f"Every {guilty.main[0].name} on the way makes the gradient smaller: weights too small "
            "for the number of inputs, or values far from where the op passes gradient on."
        )
    return "The ops on the way pass on only a small part of the gradient."


def _fix(guilty: Blame) -> str:
    if guilty.ops & SATURATING:
        return (
            "h = h + torch.relu(norm(layer(h)))  # ReLU or GELU for the inner activations, "
            "a normalisation layer before them, or residuals"
        )
    return (
        "nn.init.kaiming_normal_(layer.weight, nonlinearity='relu')  # and a normalisation layer "
        "or residuals: h = h + block(h)"
    )
