"""The gradient of a recurrent state decays, or explodes, on its way back through time.

What: Weights that are used again and again, step after step, carry the gradient from the last
step to the first; on that way it shrinks, or grows, steadily by more than a factor of 1,000. Steps
are the uses of the same weights within one backward, so the recurrence may be a loop, a cell or a
layer. A decay is a warning from a factor of 1,000,000 on for a plain recurrence, and only told for
gated cells, for shorter decays, and for an iteration that the same input enters at every step. A
layer that is one fused op (nn.LSTM on most devices, nn.RNN on accelerators) shows no steps.

Why it hurts: What happened early in the sequence cannot change the weights any more: the network
remembers no farther back than the gradient reaches, however normal its weights look. Where it
grows, a single sequence throws the weights far away.

Example::

    for x_t in sequence:                            # 60 steps
        h = torch.tanh(x_t @ W_x + h @ W_h)         # every step halves the gradient

Instead::

    h, c = nn.LSTMCell(n_in, n)(x_t, (h, c))        # a state that is kept; or nn.GRUCell
    nn.init.orthogonal_(W_h)                        # a plain recurrence that keeps its size
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from gradscope.diagnose.rule import CannotJudgeError, Rule
from gradscope.diagnose.run import Run
from gradscope.diagnose.through_time import Recurrence, TimeHabit, find_time_habit
from gradscope.diagnose.words import count, name, number, place, power_of_ten, variable_name
from gradscope.model.finding import Finding, Severity, Where

RULE = Rule(
    "GS103", "vanishing-through-time", "The gradient decays or grows over a recurrence's steps."
)

EXPLODING = "exploding-through-time"
SEVERE = 6.0  # decades: in float32, sums with gradients of this ratio lose the smaller one
LONG = 4.5  # decades of growth: even where no single step does much
STEEP = 1.6  # per step
BACKWARDS = 3  # RULES: a statistical rule speaks after so many
_SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")


def check(run: Run) -> Iterator[Finding]:
    """One finding per kind of backward with a recurrence that forgets, or explodes."""
    if run.trace.steps and not run.trace.graphs:
        raise CannotJudgeError("no graph was recorded, only parameters: record at level ops")
    for story in filter(run.trains, run.stories):
        for direction in (-1, +1):
            habit = find_time_habit(run.recurrences(story), direction)
            if habit is not None:
                yield _finding(run, habit)


def _grade(run: Run, habit: TimeHabit) -> Severity:
    """Gates open while they learn, and a short memory may be all that is needed: then info."""
    weakest = habit.weakest
    decades = abs(weakest.decades)
    if habit.direction < 0:
        severe = decades > SEVERE and habit.of >= BACKWARDS
        return "warning" if severe and not weakest.gated and not weakest.steady else "info"
    level = 0 if decades > SEVERE else 1 if decades > LONG or weakest.gain > STEEP else 2
    level += bool(habit.of < BACKWARDS and not run.nonfinite_steps) + weakest.gated
    return _SEVERITIES[min(level, 2)]


def _finding(run: Run, habit: TimeHabit) -> Finding:
    step, worst = habit.worst
    first, last = worst.node(0), worst.node(-1)
    weight = worst.weight_name(run.trace.parameters)
    few = f"; judged on {count(habit.of, 'backward')} only" if habit.of < BACKWARDS else ""
    shrinks = habit.direction < 0
    finding = RULE.finding(
        _grade(run, habit),
        f"gradient {'shrinks' if shrinks else 'grows'} {power_of_ten(abs(worst.decades))}-fold "
        f"through time, over {worst.uses} uses of {name(weight)} (×{number(worst.gain)} each, at "
        f"{variable_name(last)}{place(last.source)}){few}",
        where=Where(
            parameter=weight,
            op=last.op,
            module=last.module,
            variable=last.label,
            source=last.source,
            nodes=(first.id, last.id),
            step=step,
        ),
        steps=(habit.seen[0][0], habit.seen[-1][0]),
        seen=len(habit.seen),
        of=habit.of,
        evidence=_evidence(worst, habit.direction),
        cause="Every step multiplies the gradient of the state by the same recurrent weights and "
        f"the derivative of its activation, which together make it {_SIZE[habit.direction]}.",
        fix=_FIX[habit.direction],
        silence="A shorter sequence, a gated cell, or --ignore GS103 where only the last steps "
        "matter.",
    )
    return finding if shrinks else replace(finding, name=EXPLODING)


_SIZE = {-1: "smaller", +1: "larger"}
_FIX = {
    -1: "cell = torch.nn.LSTMCell(n_in, n)  # or nn.GRUCell; or nn.init.orthogonal_(W_h) and a "
    "loss at more than the last step",
    +1: "nn.init.orthogonal_(W_h)  # or nn.LSTMCell, nn.GRUCell; and "
    "torch.nn.utils.clip_grad_norm_(parameters, 1.0)",
}


def _evidence(worst: Recurrence, direction: int) -> dict[str, float | int | str]:
    return {
        "decades": round(direction * worst.decades, 3),
        "direction": direction,
        "uses": worst.uses,
        "gain_per_use": worst.gain,
        "spearman": round(direction * worst.correlation, 3),
        "gated": int(worst.gated),
        "steady": int(worst.steady),
    }
