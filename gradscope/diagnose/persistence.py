"""When a trend seen in some backwards is worth a word: a habit, not an accident."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gradscope.diagnose.depth import Trend
from gradscope.diagnose.run import Run, Story
from gradscope.diagnose.words import count
from gradscope.model.finding import Severity

ENOUGH_BACKWARDS = 3  # RULES: a statistical rule speaks after so many
HABIT = 0.5  # RULES: and in at least this share of those seen
SEVERE = 6.0  # decades: in float32, sums with gradients of this ratio lose the smaller one
LONG = 4.5  # decades: even where no single layer does much
_SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")


@dataclass(frozen=True)
class Habit:
    """A trend that keeps coming back in backwards of one kind.

    Attributes:
        story: The backwards.
        seen: ``(step index, trend)`` where it was found.
        of: In how many it was looked for.
    """

    story: Story
    seen: tuple[tuple[int, Trend], ...]
    of: int

    @property
    def few(self) -> bool:
        """Whether there were too few backwards to call it a habit."""
        return self.of < ENOUGH_BACKWARDS

    @property
    def worst(self) -> tuple[int, Trend]:
        """The strongest case."""
        return max(self.seen, key=lambda seen: (seen[1].zero is not None, abs(seen[1].decades)))

    @property
    def steps(self) -> tuple[int, int]:
        """First and last step it was seen in."""
        return (self.seen[0][0], self.seen[-1][0])

    @property
    def caution(self) -> str:
        """What to add to a message that rests on few backwards."""
        return f"; judged on {count(self.of, 'backward')} only" if self.few else ""


def find_habit(
    run: Run, story: Story, ill: Callable[[Trend], bool], *, through_time: bool
) -> Habit | None:
    """Looks for a trend in the backwards of one kind whose graphs were kept.

    The last one must show it too: a network that grows out of a bad start is healthy.
    """
    judged = [
        (step.index, found)
        for step, graph in story.judged
        if (found := run.trend(step, graph, through_time=through_time)) is not None and found.sites
    ]
    seen = [(index, found) for index, found in judged if ill(found)]
    if not seen or seen[-1][0] != judged[-1][0]:
        return None
    share = 1.0 if len(judged) < ENOUGH_BACKWARDS else HABIT
    if len(seen) < share * len(judged):
        return None
    return Habit(story, tuple(seen), len(judged))


def graded(habit: Habit, *, steep: bool, at_once: bool = False) -> Severity:
    """How bad a trend is.

    A slow change over many layers, as PyTorch's default weights give it (×0.41 per layer with
    ReLU), is mostly undone within some dozens of updates: it is only worth a warning when it is
    long, where the steep one of a sigmoid (×0.25 at best) stays.

    Args:
        habit: Where it was seen.
        steep: Whether every layer changes the gradient by much.
        at_once: Whether it speaks after few backwards as well, since the run broke down.
    """
    trend = habit.worst[1]
    decades = abs(trend.decades)
    level = 0 if trend.zero is not None or decades > SEVERE else 1
    if level and not steep and decades <= LONG:
        level = 2
    if habit.few and not at_once:
        level += 1
    return _SEVERITIES[min(level, 2)]
