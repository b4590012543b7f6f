"""Whether the one loss of a run gets better, and how the weights move meanwhile.

Losses are compared in five windows of equal length by their medians, so that the noise of batches
does not count. Where a run has several losses (the players of a game) none of them is a measure.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from statistics import median

from gradscope.diagnose.run import Run, Story
from gradscope.model.trace import Parameter, Update

WINDOWS = 5
FEWEST = 10  # losses
THROWN = 3.0  # times the first loss
OTHERS = 3  # backwards of another kind that make it one of several losses


@dataclass(frozen=True)
class Curve:
    """The only loss that a run goes down.

    Attributes:
        story: Its backwards.
        values: The losses, all finite.
    """

    story: Story
    values: tuple[float, ...]

    @cached_property
    def windows(self) -> tuple[tuple[float, ...], ...]:
        """Five stretches of about equal length."""
        size = len(self.values)
        ends = [size * i // WINDOWS for i in range(WINDOWS + 1)]
        return tuple(self.values[a:b] for a, b in pairwise(ends))

    @cached_property
    def medians(self) -> tuple[float, ...]:
        """The typical loss in each of them."""
        return tuple(median(window) for window in self.windows)

    @property
    def start(self) -> float:
        """The loss before anything was learned."""
        return min(self.values[0], self.medians[0])

    @property
    def noise(self) -> float:
        """How far losses of one window lie apart, typically."""
        return median(
            median(abs(value - middle) for value in window)
            for window, middle in zip(self.windows, self.medians, strict=True)
        )

    @property
    def rises(self) -> bool:
        """Whether it climbs out of what the beginning has seen, for most of the run."""
        climbs = sum(b > a for a, b in pairwise(self.medians))
        apart = min(self.windows[-1]) > max(self.windows[0])
        return climbs >= WINDOWS - 2 and apart and self.medians[-1] == max(self.medians)

    @property
    def is_thrown(self) -> bool:
        """Whether a positive loss jumps at the beginning, higher than it stays anywhere later."""
        peak = max(self.windows[0])
        jumps = peak > THROWN * self.values[0] and peak >= max(self.medians[1:])
        return jumps and min(self.values) > 0

    @property
    def falls_on(self) -> bool:
        """Whether it falls from window to window, below zero, and hardly slower at the end."""
        drops = [a - b for a, b in pairwise(self.medians)]
        steady = min(drops) > 0 and drops[-1] > 0.5 * sum(drops) / len(drops)
        return steady and self.medians[-1] < 0


def objective(run: Run) -> Curve | None:
    """The loss that is minimised; None where there is none, more than one, or too little of it."""
    stories = [s for s in run.stories if s.steps[0].kind == "backward" and _is_top(s)]
    told = [story for story in stories if len(story.steps) >= OTHERS]
    if len(told) != 1 or any(update.maximize for update in run.trace.updates):
        return None
    losses = [step.loss for step in told[0].steps]
    values = tuple(v for v in losses if v is not None and math.isfinite(v))
    return Curve(told[0], values) if len(values) >= FEWEST and len(values) == len(losses) else None


def _is_top(story: Story) -> bool:
    return story.steps[0].nested_in is None


def trains_a_model(run: Run) -> bool:
    """Whether more than one parameter is updated; one alone may be a picture that is moved."""
    return sum(len(p.updates) > 0 for p in run.trace.parameters) > 1


@dataclass(frozen=True, slots=True)
class Move:
    """One update, over all parameters that took part and got a gradient.

    Attributes:
        update: Which.
        size: Norm of the parameters before it.
        change: Norm of their change.
    """

    update: Update
    size: float
    change: float


def moves(run: Run) -> Mapping[str, list[Move]]:
    """Per optimizer its moves in order; by hand under the empty label."""
    sums: dict[int, list[float]] = {}
    for parameter in run.trace.parameters:
        _add(parameter, sums)
    found: dict[str, list[Move]] = {}
    for index, (size, change) in sorted(sums.items()):
        if index < len(run.trace.updates):
            update = run.trace.updates[index]
            move = Move(update, math.sqrt(size), math.sqrt(change))
            found.setdefault(update.optimizer, []).append(move)
    return found


def _add(parameter: Parameter, sums: dict[int, list[float]]) -> None:
    history = parameter.updates
    rows = zip(history.update, history.fresh, history.value_rms, history.update_rms, strict=True)
    for update, fresh, value, change in rows:
        if fresh and math.isfinite(value) and math.isfinite(change):
            of = sums.setdefault(update, [0.0, 0.0])
            of[0] += parameter.count * value * value
            of[1] += parameter.count * change * change


def growth(made: Sequence[Move]) -> float:
    """How many times larger the parameters became over the last four fifths of the moves."""
    if len(made) < FEWEST:
        return 1.0
    early = made[len(made) // WINDOWS].size
    return made[-1].size / early if early > 0 else 1.0


def outward(made: Sequence[Move]) -> float:
    """Share of the way gone over those moves that led straight away from zero.

    About 1 where something grows without end, 0.2 to 0.7 where noise or a goal turns the way.
    """
    late = made[len(made) // WINDOWS :]
    way = sum(move.change for move in late[:-1])
    return (late[-1].size - late[0].size) / way if way > 0 else 0.0
