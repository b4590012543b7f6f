"""Updates are out of proportion to the weights, and the loss does not get better.

What: The size of an update over the size of the weights (both as norms over all parameters, the
largest weights of the run counting) is, as a median, above 0.1, or never as much as a millionth,
while the loss stays where it was or gets worse. The first updates alone count where they are above
0.1 and throw the loss so high that it never comes back. About a thousandth is usual. A run that
gets better at whatever pace, one that has converged, a warm-up, LBFGS, a picture that is moved
instead of a model, and runs with several losses are none of this.

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
from statistics import median

from gradscope.diagnose.losses import Curve, Move, moves, objective, trains_a_model
from gradscope.diagnose.rule import Rule
from gradscope.diagnose.run import Run
from gradscope.diagnose.words import count, number, place
from gradscope.model.finding import Finding, Where
from gradscope.model.graph import Source

RULE = Rule("GS409", "update-ratio", "Updates far too large or far too small for the weights.")

UPDATES = 10
LARGE = 0.1  # RULES
SMALL = 1e-6  # RULES
BACKWARDS = 1.5  # per update; LBFGS takes many
BETTER = 0.01  # of the loss


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
    return RULE.finding(
        "warning",
        f"every update of {who}{place(first.source)} is {what} (median of "
        f"{which}{count(len(ratios.moves), 'update')}; about 0.001 is usual), and the loss goes "
        f"from {number(curve.start)} to {number(curve.medians[-1])}",
        where=Where(source=_made_at(run, label) or first.source),
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
        else "The learning rate is far too small for the size of the gradients.",
        fix=f"lr = …  # about {number(1e-3 / ratios.typical)} times the present one"
        if ratios.typical
        else "lr > 0",
        silence="A loss that gets better, or --ignore GS409.",
    )


def _made_at(run: Run, label: str) -> Source | None:
    """The line that gave the optimizer its learning rate."""
    return next((f.source for f in run.trace.optimizers if f.label == label), None)
