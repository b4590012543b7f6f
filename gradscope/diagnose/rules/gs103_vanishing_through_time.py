"""The gradient of a recurrent state decays on its way back through time.

What: Weights that are used again and again, step after step, carry the gradient from the last
step to the first; on that way it shrinks steadily by more than a factor of 1,000. Steps are the
uses of the same weights within one backward, so the recurrence may be a loop, a cell or a layer.
It is a warning from a factor of 1,000,000 on for a plain recurrence, and only told for gated cells,
for shorter decays, and for an iteration that the same input enters at every step. Growth on the
same way is reported as exploding-gradient.

Why it hurts: What happened early in the sequence cannot change the weights any more: the network
remembers no farther back than the gradient reaches, however normal its weights look.

Example::

    for x_t in sequence:                            # 60 steps
        h = torch.tanh(x_t @ W_x + h @ W_h)         # every step halves the gradient

Instead::

    h, c = nn.LSTMCell(n_in, n)(x_t, (h, c))        # a state that is kept; or nn.GRUCell
    nn.init.orthogonal_(W_h)                        # a plain recurrence that keeps its size
"""

from __future__ import annotations

from collections.abc import Iterator

from gradscope.diagnose.rule import CannotJudgeError, Rule
from gradscope.diagnose.run import Run, Story
from gradscope.diagnose.through_time import Recurrence, recurrence
from gradscope.diagnose.words import count, name, number, place, power_of_ten, variable_name
from gradscope.model.finding import Finding, Severity, Where

RULE = Rule(
    "GS103", "vanishing-through-time", "The gradient decays over the steps of a recurrence."
)

DECADES = 3.0  # RULES: log10(g_last_step / g_first_step)
CORRELATION = 0.9  # of time and size; a trend, not a jump
SUSTAINED = 2.5  # decades that must remain without the largest change from step to step
SEVERE = 6.0  # decades: in float32, sums with gradients of this ratio lose the smaller one
BACKWARDS = 3  # RULES: a statistical rule speaks after so many
GRAPHS = 4  # and the last: enough for a habit, and long sequences take their time
SHARE = 0.5  # RULES: and in at least this share of those seen


def check(run: Run) -> Iterator[Finding]:
    """One finding per kind of backward with a recurrence that forgets."""
    if run.trace.steps and not run.trace.graphs:
        raise CannotJudgeError("no graph was recorded, only parameters: record at level ops")
    for story in run.stories:
        found = _judge(run, story)
        if found is not None:
            yield found


def fades(found: Recurrence) -> bool:
    """Whether the gradient shrinks steadily past the bar."""
    return (
        -found.decades > DECADES
        and -found.decades + min(found.changes) > SUSTAINED
        and -found.correlation > CORRELATION
    )


def _judge(run: Run, story: Story) -> Finding | None:
    judged = story.judged
    spread = range(0, len(judged), max(1, len(judged) // GRAPHS))
    measured = [
        (step.index, found)
        for step, graph in (judged[i] for i in sorted({*spread, len(judged) - 1}) if judged)
        if (found := recurrence(graph)) is not None
    ]
    seen = [(index, found) for index, found in measured if fades(found)]
    # The last one must show it too: a network that grows out of a bad start is healthy.
    if not seen or seen[-1][0] != measured[-1][0] or len(seen) < SHARE * len(measured):
        return None
    return _finding(run, seen, len(measured))


def _grade(weakest: Recurrence, backwards: int) -> Severity:
    """Gates open while they learn, and a short memory may be all that is needed: then info."""
    severe = -weakest.decades > SEVERE and backwards >= BACKWARDS
    return "warning" if severe and not weakest.gated and not weakest.steady else "info"


def _finding(run: Run, seen: list[tuple[int, Recurrence]], of: int) -> Finding:
    step, worst = min(seen, key=lambda pair: pair[1].decades)
    weakest = max((found for _, found in seen), key=lambda found: found.decades)
    first, last = worst.node(0), worst.node(-1)
    weight = worst.weight_name(run.trace.parameters)
    few = f"; judged on {count(of, 'backward')} only" if of < BACKWARDS else ""
    return RULE.finding(
        _grade(weakest, of),
        f"gradient shrinks {power_of_ten(-worst.decades)}-fold through time, over "
        f"{worst.uses} uses of {name(weight)} (×{number(worst.gain)} each, at "
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
        steps=(seen[0][0], seen[-1][0]),
        seen=len(seen),
        of=of,
        evidence={
            "decades": round(-worst.decades, 3),
            "uses": worst.uses,
            "gain_per_use": worst.gain,
            "spearman": round(-worst.correlation, 3),
            "gated": int(worst.gated),
            "steady": int(worst.steady),
        },
        cause="Every step multiplies the gradient of the state by the same recurrent weights and "
        "the derivative of its activation, which together make it smaller.",
        fix="cell = torch.nn.LSTMCell(n_in, n)  # or nn.GRUCell; or nn.init.orthogonal_(W_h) and a "
        "loss at more than the last step",
        silence="A shorter sequence, a gated cell, or --ignore GS103 where only the last steps "
        "matter.",
    )
