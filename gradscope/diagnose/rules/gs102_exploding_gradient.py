"""The gradient grows by orders of magnitude: towards the first layers, or from step to step.

What: Within one backward, the size of the gradient on the main path grows by more than a factor
of 1,000 from the last layer to the first, steadily, over at least four ops (over the steps of a
recurrence it is GS103's). Or, over the run, the
norm of all gradients leaves its history behind (more than 10 times the median so far and a robust
z-score above 6, after ten backwards) and stays there while the loss rises; or it climbs from the
first backward on, 10,000-fold. A jump after updates like all others comes from the data (a
curriculum, a broken batch) and is none of this.

Why it hurts: One update of such a size throws the weights far away; what follows is a loss that
oscillates, rises, or turns into NaN.

Example::

    nn.init.normal_(layer.weight, std=1.0)     # 64 inputs: every layer makes it 8 times larger

Instead::

    nn.init.kaiming_normal_(layer.weight)                       # scaled by the number of inputs
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)     # and a smaller learning rate
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from gradscope.diagnose.blame import Blame, blame
from gradscope.diagnose.depth import Trend
from gradscope.diagnose.history import Growth, Row, find_growth, rows_of
from gradscope.diagnose.nonfinite import forward_origin
from gradscope.diagnose.persistence import Habit, find_habit, graded
from gradscope.diagnose.rule import Rule
from gradscope.diagnose.run import Run, Story
from gradscope.diagnose.singular import LARGE
from gradscope.diagnose.through_time import find_time_habit
from gradscope.diagnose.words import name, number, power_of_ten
from gradscope.model.finding import Finding, Severity, Where
from gradscope.model.trace import Parameter

RULE = Rule(
    "GS102", "exploding-gradient", "The gradient grows 1,000-fold towards the input, or over steps."
)

STEEP = 1.6  # per layer: batch norm without residuals makes it 1.2 to 1.3 times larger
DIVERGES = (
    "The training diverges: updates overshoot, mostly because the learning rate is too large for "
    "the scale of the loss or of the inputs."
)
DIVERGENCE = 1e3  # times the norm before
CLIP = "torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)"
SMALLER = "lr = …  # 10 times smaller"


def check(run: Run) -> Iterator[Finding]:
    """One finding per kind of backward: along the depth, which is the cause, or over the steps."""
    for story in filter(run.trains, run.stories):
        habit = find_habit(run, story, explodes, through_time=True)
        if habit is not None and find_time_habit(run.recurrences(story), +1) is not None:
            continue  # told as exploding-through-time
        growth = find_growth(rows_of(run, story))
        if habit is not None:
            yield _deep(run, habit, growth)
        elif growth is not None:
            yield _long(run, story, growth)
        else:
            yield from _at_once(run, story)


def explodes(trend: Trend) -> bool:
    """Whether the gradient grows steadily past the bar."""
    return trend.sustained(+1)


def _deep(run: Run, habit: Habit, growth: Growth | None) -> Finding:
    step, trend = habit.worst
    guilty = blame(trend, +1)
    evidence = _evidence(trend, guilty)
    if growth is not None:
        evidence["growth"] = growth.factor
    return RULE.finding(
        graded(habit, steep=trend.gain_per_layer > STEEP, at_once=bool(run.nonfinite_steps)),
        f"gradient grows {power_of_ten(trend.decades)}-fold {guilty.way()}: "
        f"{guilty.account()}{habit.caution}",
        where=guilty.where(step, run.trace.parameters),
        steps=habit.steps,
        seen=len(habit.seen),
        of=habit.of,
        evidence=evidence,
        cause="Every one of these ops makes the gradient larger: weights too large for the number "
        "of inputs, or inputs too large.",
        fix="nn.init.kaiming_normal_(layer.weight)  # or a normalisation layer"
        + ("" if _clips(run) else f", and {CLIP}"),
        silence="Weights scaled by their number of inputs, or --ignore GS102.",
    )


def _evidence(trend: Trend, guilty: Blame) -> dict[str, float | int | str]:
    main = guilty.main[0] if guilty.main else None
    return {
        "decades": round(trend.decades, 3),
        "sites": len(trend.sites),
        "gain_per_layer": trend.gain_per_layer,
        "spearman": round(trend.correlation, 3),
        "norm_loss_side": trend.hops[trend.sites[0]].received or 0.0,
        "norm_input_side": trend.hops[trend.sites[-1]].received or 0.0,
        "op": main.name if main else "",
        "op_count": main.count if main else 0,
        "op_gain": main.gain if main else 1.0,
        "op_share": round(main.share, 3) if main else 0.0,
    }


def _long(run: Run, story: Story, growth: Growth) -> Finding:
    rows = rows_of(run, story)
    began = rows[growth.first].step
    worst = _largest(run, began)
    end = ", then overflows" if growth.overflowed else ""
    return RULE.finding(
        _grade(growth),
        f"gradient norm grows {number(growth.factor)}-fold from step {began} on "
        f"({number(growth.before)} → {number(growth.peak)}{end}) while the loss goes from "
        f"{number(growth.loss_before)} to {number(growth.loss_after)}"
        + (f"; {name(worst.name)} has the largest gradient" if worst else ""),
        where=Where(parameter=worst.name if worst else "", source=story.source),
        steps=(began, rows[-1].step),
        seen=len(rows) - growth.first,
        of=len(rows),
        evidence={
            "growth": growth.factor,
            "norm_before": growth.before,
            "norm_peak": growth.peak,
            "loss_before": growth.loss_before,
            "loss_after": growth.loss_after,
        },
        cause=DIVERGES,
        fix=_fix(run),
        silence="A run whose loss does not rise, or --ignore GS102.",
    )


def _at_once(run: Run, story: Story) -> Iterator[Finding]:
    """One update so large that the next forward pass overflows: too soon for any history."""
    rows = rows_of(run, story)
    end = next((i for i, row in enumerate(rows) if not _is_finite(row)), 0)
    step = run.step(rows[end].step) if end else None
    if step is None or step.graph is None or (origin := forward_origin(step.graph)) is None:
        return
    largest = max((stats.abs_max or 0.0 for stats in origin.before), default=0.0)
    if not LARGE < largest < math.inf:
        return
    last = rows[end - 1]
    yield RULE.finding(
        "error",
        f"gradient norm of {number(last.norm)} in step {last.step} throws the weights so far that "
        f"the next forward pass overflows, with values of up to {number(largest)} (loss "
        f"{number(last.loss)} → {number(rows[end].loss)})",
        where=Where(source=story.source),
        steps=(last.step, rows[-1].step),
        seen=len(rows) - end,
        of=len(rows),
        evidence={"growth": largest, "norm_before": last.norm, "loss_before": last.loss},
        cause=DIVERGES,
        fix=_fix(run),
        silence="A forward pass that stays finite, or --ignore GS102.",
    )


def _clips(run: Run) -> bool:
    return any(call.kind in ("clip", "clip_value") for call in run.trace.calls)


def _fix(run: Run) -> str:
    if _clips(run):
        return f"{SMALLER}, since clipping alone does not help"
    return f"{CLIP}  # before optimizer.step(), and a learning rate 10 times smaller"


def _is_finite(row: Row) -> bool:
    return math.isfinite(row.norm) and math.isfinite(row.loss)


def _grade(growth: Growth) -> Severity:
    """Rewards and game losses may grow with the gradients and mean success: less is only told."""
    if growth.overflowed:
        return "error"
    return "warning" if growth.factor > DIVERGENCE else "info"


def _largest(run: Run, step: int) -> Parameter | None:
    """The parameter with the largest gradient in a step."""
    best: tuple[float, Parameter] | None = None
    for parameter in run.trace.parameters:
        history = parameter.gradients
        if step not in history.step:
            continue
        norm = history.norm[history.step.index(step)]
        if math.isfinite(norm) and (best is None or norm > best[0]):
            best = (norm, parameter)
    return best[1] if best else None
