"""How the size of all gradients together develops from backward to backward."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from statistics import median

from gradscope.diagnose.losses import moves
from gradscope.diagnose.run import Run, Story

GROWTH = 10.0  # RULES: times the trailing median
ROBUST_Z = 6.0  # RULES
HISTORY = 10  # RULES: after so many backwards
LASTING = 0.8  # share of the later backwards that must stay as large; a spike does not
EARLY_GROWTH = 1e4  # in fewer backwards than HISTORY, if they only rise up to the end
EARLY = 4  # backwards; two are enough before an overflow
ABRUPT = 3.0  # times the norm before it: weights that move as ever do not come so far at once
USUAL = 2.0  # times the median update
MOVED = 0.1  # size of an update over that of the weights; RULES has it for GS409


@dataclass(frozen=True, slots=True)
class Row:
    """One backward.

    Attributes:
        step: Its index.
        norm: Norm over all gradients.
        loss: The loss.
        change: Norm of the change of all weights in the update behind it; NaN where unknown.
        size: Norm of all weights before that update; NaN where unknown.
    """

    step: int
    norm: float
    loss: float
    change: float = math.nan
    size: float = math.nan


@dataclass(frozen=True, slots=True)
class Growth:
    """Where the gradients took off.

    Attributes:
        first: Position of the row with which the climb begins.
        before: Median norm before it.
        peak: Largest finite norm from there on.
        loss_before: Median loss before it.
        loss_after: The last loss; NaN or Inf when it is no number any more.
        overflowed: Whether a norm or loss that is not finite follows.
    """

    first: int
    before: float
    peak: float
    loss_before: float
    loss_after: float
    overflowed: bool

    @property
    def factor(self) -> float:
        """How many times larger the norm became."""
        return self.peak / self.before if self.before > 0 else math.inf


def rows_of(run: Run, story: Story) -> list[Row]:
    """The story's backwards; those in which a gradient went unmeasured are left out."""
    overflowed = set(run.nonfinite_steps)
    known = {move.update.after_step: move for made in moves(run).values() for move in made}
    found: list[Row] = []
    for step in story.steps:
        norm, loss = run.norms.get(step.index), step.loss
        if loss is None or norm is None or step.nested_in is not None:
            continue
        if math.isfinite(norm) or step.index in overflowed or not math.isfinite(loss):
            move = known.get(step.index)
            change, size = (move.change, move.size) if move else (math.nan, math.nan)
            found.append(Row(step.index, norm, loss, change, size))
    return found


def find_growth(rows: Sequence[Row]) -> Growth | None:
    """The place from which on gradients are out of proportion for good, with a rising loss.

    Only a norm beyond everything seen before counts, so that noise around a minimum, however
    much larger than the minimum itself, is none. A divergence goes through the weights: a jump
    after updates like all others is made by the data.
    """
    end = next((i for i, row in enumerate(rows) if not _finite(row)), len(rows))
    position = _take_off(rows, end)
    if position is not None and (end < len(rows) or not _is_by_data(rows, position)):
        return _growth(rows, _foot(rows, position), end)
    start = _last_climb(rows, end)
    return _growth(rows, start + 1, end) if _diverges_at_once(rows, start, end) else None


def jumps_by_data(rows: Sequence[Row]) -> bool:
    """Whether the gradients leave their history because the data did."""
    position = _take_off(rows, len(rows))
    return position is not None and _is_by_data(rows, position)


def _take_off(rows: Sequence[Row], end: int) -> int | None:
    """The first row whose norm is far above all before it and stays so."""
    highest = -math.inf
    for position in range(end):
        norm = rows[position].norm
        if norm <= highest:
            continue
        highest = norm
        if (
            position >= HISTORY
            and _stands_out(rows, position)
            and _lasts(rows, position, end)
            and _loss_rises(rows, position, end)
        ):
            return position
    return None


def _is_by_data(rows: Sequence[Row], position: int) -> bool:
    """Whether the norm jumps at once after an update that was no larger than usual."""
    last = rows[position - 1]
    known = [row.change for row in rows[:position] if math.isfinite(row.change)]
    usual = median(known) if known else math.nan
    ordinary = last.change <= min(USUAL * usual, MOVED * last.size)
    return ordinary and rows[position].norm > ABRUPT * last.norm


def _finite(row: Row) -> bool:
    return math.isfinite(row.norm) and math.isfinite(row.loss)


def _stands_out(rows: Sequence[Row], position: int) -> bool:
    norm = rows[position].norm
    before = [row.norm for row in rows[:position]]
    middle = median(before)
    if middle <= 0 or norm <= GROWTH * middle:
        return False
    # 1.4826 makes the median absolute deviation comparable with a standard deviation.
    spread = 1.4826 * median(abs(value - middle) for value in before)
    return norm - middle > ROBUST_Z * spread


def _lasts(rows: Sequence[Row], position: int, end: int) -> bool:
    """Whether the norm stays up; shortly before an overflow two rows are enough."""
    after = rows[position:end]
    if len(after) < (2 if end < len(rows) else 3):
        return False
    bar = GROWTH * median(row.norm for row in rows[:position])
    return sum(row.norm > bar for row in after) >= LASTING * len(after)


def _loss_rises(rows: Sequence[Row], position: int, end: int) -> bool:
    """Whether the loss got worse than at any time before; one that is no number any more did."""
    worst = max(row.loss for row in rows[:position])
    return end < len(rows) or median(row.loss for row in rows[position:]) > worst


def _foot(rows: Sequence[Row], position: int) -> int:
    """Where the climb past ``position`` begins.

    That is the first row of those whose norm is larger than the one before it, or whose loss is
    worse than all before it.
    """
    worst = list(accumulate((row.loss for row in rows[:position]), max))
    while position > 1 and (
        rows[position - 2].norm < rows[position - 1].norm
        or worst[position - 2] < rows[position - 1].loss
    ):
        position -= 1
    return position


def _last_climb(rows: Sequence[Row], end: int) -> int:
    """Position from which on norm and loss only rise, up to the end of what is finite."""
    position = max(end - 1, 0)
    while (
        position
        and rows[position - 1].norm < rows[position].norm
        and rows[position - 1].loss < rows[position].loss
    ):
        position -= 1
    return position


def _diverges_at_once(rows: Sequence[Row], start: int, end: int) -> bool:
    """Whether that climb is a divergence that needs no history to be told."""
    if end - start < (2 if end < len(rows) else EARLY):
        return False
    highest_before = max(row.norm for row in rows[: start + 1])
    return 0 < highest_before * EARLY_GROWTH < rows[end - 1].norm


def _growth(rows: Sequence[Row], first: int, end: int) -> Growth:
    overflowed = end < len(rows)
    return Growth(
        first=first,
        before=median(row.norm for row in rows[:first]),
        peak=max(row.norm for row in rows[first:end]),
        loss_before=median(row.loss for row in rows[:first]),
        loss_after=rows[end].loss if overflowed else rows[-1].loss,
        overflowed=overflowed,
    )
