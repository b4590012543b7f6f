"""Updates are out of proportion to the weights, and the loss does not get better.

What: The size of an update over the size of the weights (both as norms over all parameters, the
largest weights of the run counting) is, as a median, above 0.1, or never as much as a millionth,
while the loss stays where it was or gets worse. The first updates alone count where they are above
0.1 and throw the loss so high that it never comes back. About a thousandth is usual. Also, the
learning rate dies on the way, so that the last half of the updates or more change nothing, though
the gradients are as large as a tenth of those at first. A run that gets better at whatever pace,
one that has converged, a warm-up, a schedule that ends at 0, LBFGS, a picture that is moved instead
of a model, and runs with several losses are none of this.

Why it hurts: The weights are thrown about without ever settling, or they do not move at all. In
float32 a change below 6e-8 of a number is no change.

Example::

    optimizer = torch.optim.Adam(model.parameters(), lr=1.0)

Instead::

    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import takewhile
from statistics import median

from gradscope.diagnose.losses import OTHERS, Curve, Move, moves, objective, trains_a_model
from gradscope.diagnose.rule import Rule
from gradscope.diagnose.run import Run
from gradscope.diagnose.words import code, count, name, number, place
from gradscope.model.events import Call
from gradscope.model.finding import Finding, Where
from gradscope.model.graph import Source

RULE = Rule("GS409", "update-ratio", "Updates far too large or far too small for the weights.")

UPDATES = 10
LARGE = 0.1  # RULES
SMALL = 1e-6  # RULES
BACKWARDS = 1.5  # per update; LBFGS takes many
BETTER = 0.01  # of the loss
NOTHING = 1e-7  # of the weights: about the rounding of float32
TAIL = 0.5  # share of the updates that come too late
DEAD = 1e-3  # of the largest learning rate
ALIVE = 0.1  # of the gradients at first


@dataclass(frozen=True)
class Ratios:
    """What one optimizer did.

    Attributes:
        moves: Its updates.
        values: Size of each over the size of the weights.
    """

    moves: Sequence[Move]
    values: Sequence[float]

    @property
    def typical(self) -> float:
        """Their median."""
        return median(self.values)


def check(run: Run) -> Iterator[Finding]:
    """One finding per optimizer."""
    curve = objective(run)
    if curve is None or not trains_a_model(run):
        return
    for label, made in moves(run).items():
        largest = max(move.size for move in made)
        rare = len(curve.values) > BACKWARDS * len(made)
        if len(made) < UPDATES or largest <= 0 or rare:
            continue
        ratios = Ratios(made, [move.change / largest for move in made])
        worse = curve.medians[-1] >= curve.start
        if worse and ratios.typical > LARGE:
            yield _finding(run, label, curve, ratios, len(made))
        elif worse and curve.is_thrown and (first := _at_first(made)).typical > LARGE:
            yield _finding(run, label, curve, first, len(made))
        elif max(ratios.values) < SMALL and _stays(curve):
            yield _finding(run, label, curve, ratios, len(made))
        elif (tail := _dead_tail(run, label, ratios)) and _still_alive(run, curve, tail):
            yield _dies(run, label, made, tail)


def _dead_tail(run: Run, label: str, ratios: Ratios) -> Sequence[Move]:
    """The updates at the end that change nothing, since the learning rate is gone."""
    pairs = list(zip(ratios.moves, ratios.values, strict=True))
    tail = [move for move, _ in takewhile(lambda pair: pair[1] < NOTHING, reversed(pairs))][::-1]
    if len(tail) < max(UPDATES, TAIL * len(pairs)):
        return []
    highest = max(move.update.lr for move in ratios.moves)
    elsewhere = [m for other, made in moves(run).items() if other != label for m in made]
    moved = any(m.update.index > tail[0].update.index and m.change > 0 for m in elsewhere)
    return [] if moved or not tail[0].update.lr <= DEAD * highest else tail


def _still_alive(run: Run, curve: Curve, tail: Sequence[Move]) -> bool:
    """Whether there was something left to learn."""
    first = [run.norms.get(step.index, 0.0) for step in curve.story.steps[:OTHERS]]
    later = [run.norms.get(move.update.after_step, 0.0) for move in tail]
    return 0 < ALIVE * median(first) < median(later)


def _dies(run: Run, label: str, made: Sequence[Move], tail: Sequence[Move]) -> Finding:
    first, last = made[0].update, made[-1].update
    call = _schedule(run, label)
    by = (
        f", as {name(code(call.source))}{place(call.source)} has it" if call and call.source else ""
    )
    return RULE.finding(
        "warning",
        f"the last {len(tail)} of {count(len(made), 'update')} of {label}{place(first.source)} "
        f"change nothing: the learning rate goes from {number(first.lr)} to {number(last.lr)}{by}, "
        "while the gradients are still there",
        where=Where(source=(call.source if call else None) or _made_at(run, label)),
        steps=(max(tail[0].update.after_step, 0), max(last.after_step, 0)),
        seen=len(tail),
        of=len(made),
        evidence={
            "lr_first": first.lr,
            "lr_last": last.lr,
            "updates_of_nothing": len(tail),
            "direction": "too small",
        },
        cause="The schedule runs out long before the training does: it is advanced per batch "
        "instead of per epoch, or its factor is 0 or too small.",
        fix="scheduler.step()  # once per epoch, and with a factor that leaves something",
        silence="A run that ends where its schedule ends, or --ignore GS409.",
    )


def _schedule(run: Run, label: str) -> Call | None:
    """The call that moves the optimizer's learning rate, where a scheduler does."""
    calls = [c for c in run.trace.calls if c.kind == "scheduler_step" and c.label in (label, "")]
    return calls[-1] if calls else None


def _at_first(made: Sequence[Move]) -> Ratios:
    """The first updates, over what the weights were: huge ones soon make huge weights."""
    first = [move for move in made[:UPDATES] if move.size > 0]
    return Ratios(first, [move.change / move.size for move in first] or [0.0])


def _stays(curve: Curve) -> bool:
    first, last = curve.medians[0], curve.medians[-1]
    return last > first - max(2 * curve.noise, BETTER * abs(first))


def _finding(run: Run, label: str, curve: Curve, ratios: Ratios, of: int) -> Finding:
    first, last = ratios.moves[0].update, ratios.moves[-1].update
    who = label or "the update by hand"
    what = f"{number(ratios.typical)} of the weights" if ratios.typical else "no change at all"
    which = "the first " if len(ratios.moves) < of else ""
    too_large = ratios.typical > LARGE
    schedule = _schedule(run, label) if not any(m.update.lr for m in ratios.moves) else None
    return RULE.finding(
        "warning",
        f"every update of {who}{place(first.source)} is {what} (median of "
        f"{which}{count(len(ratios.moves), 'update')}; about 0.001 is usual), and the loss goes "
        f"from {number(curve.start)} to {number(curve.medians[-1])}",
        where=Where(
            source=(schedule.source if schedule else None) or _made_at(run, label) or first.source
        ),
        steps=(max(first.after_step, 0), max(last.after_step, 0)),
        seen=len(ratios.moves),
        of=of,
        evidence={
            "ratio": ratios.typical,
            "largest_ratio": max(ratios.values),
            "lr": median(move.update.lr for move in ratios.moves),
            "loss_first": curve.start,
            "loss_last": curve.medians[-1],
            "direction": "too large" if too_large else "too small",
        },
        cause="The learning rate is far too large: every update jumps over the minimum."
        if too_large
        else "The schedule sets the learning rate to 0."
        if schedule
        else "The learning rate is far too small for the size of the gradients.",
        fix=f"lr = …  # about {number(1e-3 / ratios.typical)} times the present one"
        if ratios.typical
        else "lr > 0",
        silence="A loss that gets better, or --ignore GS409.",
    )


def _made_at(run: Run, label: str) -> Source | None:
    """The line that gave the optimizer its learning rate."""
    return next((f.source for f in run.trace.optimizers if f.label == label), None)
